//! The messages of a request as a template reads them: content as one string, arguments of tool
//! calls as objects. Refuses what a text model cannot take, naming the member.

use openapi::chat::{Content, Message, Request};
use serde_json::{Map, Value, json};

use crate::engine::Error;

const ROLES: [&str; 6] = ["developer", "system", "user", "assistant", "tool", "function"];

pub(super) fn of(request: &Request, knows_developer: bool) -> Result<Value, Error> {
    if request.messages.is_empty() {
        return Err(invalid("at least one message is needed".to_owned(), "messages".to_owned()));
    }
    let messages = request.messages.iter().enumerate();
    let messages: Result<Vec<_>, _> =
        messages.map(|(at, message)| one(at, message, knows_developer)).collect();
    Ok(Value::Array(messages?))
}

fn one(at: usize, message: &Message, knows_developer: bool) -> Result<Value, Error> {
    let role = match message.role.as_str() {
        "developer" if !knows_developer => "system",
        "function" => "tool",
        role if ROLES.contains(&role) => role,
        role => {
            let role: String = role.chars().take(40).collect();
            let message = format!("unknown role `{role}`; one of {}", ROLES.join(", "));
            return Err(invalid(message, format!("messages[{at}].role")));
        }
    };
    // Unknown members first, so that they never replace known ones.
    let mut out: Map<String, Value> = message.extra.clone();
    // Templates read the one name, clients send back either.
    if let Some(reasoning) = out.get("reasoning").filter(|text| text.is_string()).cloned()
        && !out.get("reasoning_content").is_some_and(Value::is_string)
    {
        out.insert("reasoning_content".to_owned(), reasoning);
    }
    out.insert("role".to_owned(), role.into());
    out.insert("content".to_owned(), content(at, message)?.into());
    let known = [("name", &message.name), ("tool_call_id", &message.tool_call_id)];
    for (name, value) in known {
        if let Some(value) = value {
            out.insert(name.to_owned(), value.as_str().into());
        }
    }
    if let Some(calls) = message.tool_calls.as_ref().filter(|calls| !calls.is_empty()) {
        let calls: Vec<Value> = calls
            .iter()
            .map(|call| {
                let function = &call.function;
                // Templates print arguments with tojson: a string would be quoted twice.
                let arguments = serde_json::from_str::<Map<String, Value>>(&function.arguments)
                    .map_or_else(|_| function.arguments.as_str().into(), Value::Object);
                json!({"id": call.id, "type": "function",
                       "function": {"name": function.name, "arguments": arguments}})
            })
            .collect();
        out.insert("tool_calls".to_owned(), calls.into());
    }
    Ok(Value::Object(out))
}

/// All text parts as one string: between two parts a template could otherwise put together what
/// neither of them spells.
fn content(at: usize, message: &Message) -> Result<String, Error> {
    match &message.content {
        Some(Content::Text(text)) => Ok(text.clone()),
        Some(Content::Parts(parts)) => {
            let mut text = String::new();
            for (j, part) in parts.iter().enumerate() {
                let piece = match part.kind.as_str() {
                    "text" => part.text.as_deref(),
                    "refusal" => part.extra.get("refusal").and_then(Value::as_str),
                    _ => None,
                };
                let Some(piece) = piece else {
                    let kind: String = part.kind.chars().take(40).collect();
                    let message = match kind.as_str() {
                        "text" | "refusal" => format!("a part of type `{kind}` without its text"),
                        _ => format!("this model reads text alone, no `{kind}`"),
                    };
                    return Err(invalid(message, format!("messages[{at}].content[{j}]")));
                };
                text.push_str(piece);
            }
            Ok(text)
        }
        None if message.role == "assistant" => Ok(String::new()),
        None => {
            let message = format!("a message of role {} needs content", message.role);
            Err(invalid(message, format!("messages[{at}].content")))
        }
    }
}

fn invalid(message: String, param: String) -> Error {
    Error::Invalid { message, param: Some(param), code: None }
}
