//! Tools, the choice among them, and the form an answer must have.

use crate::engine::{Constraint, ToolUse};
use crate::http::error::Error;
use openapi::chat::{Request, ResponseFormat, Tool, ToolChoice};
use serde_json::Value;

const TOOLS_MAX: usize = 128;
const NAME_MAX: usize = 64;

/// `allowed_tools`: the other tools are as good as not there, and the mode is the choice.
pub(super) fn narrow(request: &mut Request) -> Result<(), Error> {
    let Some(ToolChoice::Named(choice)) = &request.tool_choice else { return Ok(()) };
    if choice.get("type").and_then(Value::as_str) != Some("allowed_tools") {
        return Ok(());
    }
    let member = |name: &str| choice.get("allowed_tools").and_then(|allowed| allowed.get(name));
    let mode = match member("mode").and_then(Value::as_str) {
        Some(mode @ ("auto" | "required")) => mode.to_owned(),
        _ => {
            let param = "tool_choice.allowed_tools.mode";
            return Err(Error::invalid(param, "`mode` must be auto or required"));
        }
    };
    let listed = member("tools").and_then(Value::as_array).filter(|tools| !tools.is_empty());
    let Some(listed) = listed else {
        let param = "tool_choice.allowed_tools.tools";
        return Err(Error::invalid(param, "`tools` must name at least one function"));
    };
    let tools = request.tools.as_deref().unwrap_or_default();
    let mut allowed = vec![false; tools.len()];
    for (index, entry) in listed.iter().enumerate() {
        let name = entry.get("function").and_then(|function| function.get("name"));
        let name = name.and_then(Value::as_str).unwrap_or_default();
        let found = tools.iter().position(|tool| named(tool) == Some(name));
        let Some(slot) = found.and_then(|found| allowed.get_mut(found)) else {
            let param = format!("tool_choice.allowed_tools.tools[{index}]");
            return Err(Error::invalid(param, "it names no function that is among `tools`"));
        };
        *slot = true;
    }
    let mut allowed = allowed.into_iter();
    if let Some(tools) = &mut request.tools {
        tools.retain(|_| allowed.next().unwrap_or(false));
    }
    request.tool_choice = Some(ToolChoice::Mode(mode));
    Ok(())
}

fn named(tool: &Tool) -> Option<&str> {
    tool.function.as_ref().map(|function| function.name.as_str())
}

pub(super) fn tool_use(request: &Request) -> Result<ToolUse, Error> {
    let tools = request.tools.as_deref().unwrap_or_default();
    if tools.len() > TOOLS_MAX {
        return Err(Error::invalid("tools", format!("`tools` takes at most {TOOLS_MAX}")));
    }
    let mut names = Vec::with_capacity(tools.len());
    for (index, tool) in tools.iter().enumerate() {
        names.push(function_name(index, tool)?);
    }
    let Some(choice) = &request.tool_choice else {
        return Ok(if tools.is_empty() { ToolUse::Off } else { ToolUse::Auto });
    };
    let chosen = match choice {
        ToolChoice::Mode(mode) => match mode.as_str() {
            "none" => return Ok(ToolUse::Off),
            "auto" if tools.is_empty() => return Ok(ToolUse::Off),
            "auto" => ToolUse::Auto,
            "required" => ToolUse::Required,
            _ => {
                let message =
                    "`tool_choice` must be none, auto, required, or name functions of `tools`";
                return Err(Error::invalid("tool_choice", message));
            }
        },
        ToolChoice::Named(choice) => {
            let function = choice.get("function").and_then(|function| function.get("name"));
            match (choice.get("type").and_then(Value::as_str), function.and_then(Value::as_str)) {
                (Some("function"), Some(name)) => ToolUse::Named(name.to_owned()),
                _ => {
                    return Err(Error::invalid(
                        "tool_choice",
                        r#"an object here has the form {"type":"function","function":{"name":…}}"#,
                    ));
                }
            }
        }
    };
    if tools.is_empty() {
        return Err(Error::invalid("tool_choice", "`tool_choice` needs `tools` to choose from"));
    }
    if let ToolUse::Named(name) = &chosen
        && !names.contains(&name.as_str())
    {
        let message = "`tool_choice` names a function that is not among `tools`";
        return Err(Error::invalid("tool_choice.function.name", message));
    }
    Ok(chosen)
}

fn function_name(index: usize, tool: &Tool) -> Result<&str, Error> {
    if tool.kind != "function" {
        let message = "only tools of type `function` are served";
        return Err(Error::invalid(format!("tools[{index}].type"), message));
    }
    let Some(function) = &tool.function else {
        let param = format!("tools[{index}].function");
        return Err(Error::invalid(param, "a tool of type `function` needs `function`"));
    };
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let name = function.name.as_str();
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(legal) {
        return Err(Error::invalid(
            format!("tools[{index}].function.name"),
            format!("a function's name has 1 to {NAME_MAX} letters, digits, `_` or `-`"),
        ));
    }
    if function.parameters.as_ref().is_some_and(|schema| !schema.is_object()) {
        let param = format!("tools[{index}].function.parameters");
        return Err(Error::invalid(param, "`parameters` must be a JSON schema object"));
    }
    Ok(name)
}

pub(super) fn constraint(format: Option<&ResponseFormat>) -> Result<Option<Constraint>, Error> {
    let Some(format) = format else { return Ok(None) };
    match format.kind.as_str() {
        "text" => Ok(None),
        "json_object" => Ok(Some(Constraint::JsonObject)),
        "json_schema" => {
            let Some(wrapper) = &format.json_schema else {
                let message = "type `json_schema` needs the member `json_schema`";
                return Err(Error::invalid("response_format.json_schema", message));
            };
            match &wrapper.schema {
                Some(schema) if schema.is_object() || schema.is_boolean() => {
                    Ok(Some(Constraint::JsonSchema(schema.clone())))
                }
                _ => Err(Error::invalid(
                    "response_format.json_schema.schema",
                    "`schema` must be a JSON schema object",
                )),
            }
        }
        "regex" => match &format.regex {
            Some(regex) if !regex.is_empty() => Ok(Some(Constraint::Regex(regex.clone()))),
            _ => Err(Error::invalid("response_format.regex", "type `regex` needs `regex`")),
        },
        _ => Err(Error::invalid(
            "response_format.type",
            "`type` must be text, json_object, json_schema or regex",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What is left of a choice among `f` and `g`: the names of the tools, and their use.
    fn narrowed(choice: Value) -> Result<(Vec<String>, ToolUse), String> {
        let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
        let body = json!({"model": "m", "messages": [], "tools": [tool("f"), tool("g")],
            "tool_choice": choice});
        let mut request: Request = serde_json::from_value(body).unwrap();
        narrow(&mut request).map_err(|error| format!("{error:?}"))?;
        let chosen = tool_use(&request).map_err(|error| format!("{error:?}"))?;
        let tools = request.tools.unwrap();
        Ok((tools.iter().filter_map(named).map(str::to_owned).collect(), chosen))
    }

    fn allowed(mode: &str, names: &[&str]) -> Value {
        let tool = |name: &&str| json!({"type": "function", "function": {"name": name}});
        let tools: Vec<Value> = names.iter().map(tool).collect();
        json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}})
    }

    #[test]
    fn allowed_tools_are_those_that_are_left() {
        let both = vec!["f".to_owned(), "g".to_owned()];
        let one = vec!["g".to_owned()];
        assert_eq!(narrowed(json!("auto")), Ok((both.clone(), ToolUse::Auto)));
        assert_eq!(narrowed(allowed("auto", &["g"])), Ok((one.clone(), ToolUse::Auto)));
        assert_eq!(narrowed(allowed("required", &["g", "g"])), Ok((one, ToolUse::Required)));
        assert_eq!(narrowed(allowed("required", &["g", "f"])), Ok((both, ToolUse::Required)));
        for (choice, param) in [
            (allowed("auto", &["h"]), "tools[0]"),
            (allowed("auto", &["f", "h"]), "tools[1]"),
            (allowed("auto", &[]), "allowed_tools.tools"),
            (allowed("none", &["f"]), "allowed_tools.mode"),
            (json!({"type": "allowed_tools"}), "allowed_tools.mode"),
            (json!({"type": "custom"}), "tool_choice"),
        ] {
            let error = narrowed(choice.clone()).unwrap_err();
            assert!(error.contains(param), "{choice}: {error}");
        }
    }
}
