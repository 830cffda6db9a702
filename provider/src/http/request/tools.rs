//! Tools, the choice among them, and the form an answer must have.

use crate::engine::{Constraint, ToolUse};
use crate::http::error::Error;
use openapi::chat::{Request, ResponseFormat, Tool, ToolChoice};
use serde_json::Value;

const TOOLS_MAX: usize = 128;
const NAME_MAX: usize = 64;

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
                let message = "`tool_choice` must be none, auto, required, or name a function";
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
