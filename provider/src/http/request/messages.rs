//! Messages: roles, and content where a role needs it.

use crate::http::error::Error;
use openapi::chat::{Content, Message};

const ROLES: [&str; 6] = ["developer", "system", "user", "assistant", "tool", "function"];

pub(super) fn check(messages: &[Message]) -> Result<(), Error> {
    if messages.is_empty() {
        return Err(Error::invalid("messages", "`messages` must hold at least one message"));
    }
    messages.iter().enumerate().try_for_each(|(index, message)| one(index, message))
}

fn one(index: usize, message: &Message) -> Result<(), Error> {
    let at = |member: &str| format!("messages[{index}].{member}");
    let role = message.role.as_str();
    if !ROLES.contains(&role) {
        let message = format!("`role` must be one of {}", ROLES.join(", "));
        return Err(Error::invalid(at("role"), message));
    }
    if role == "tool" && message.tool_call_id.is_none() {
        return Err(Error::invalid(
            at("tool_call_id"),
            "a message of role `tool` needs the `tool_call_id` it answers",
        ));
    }
    match &message.content {
        // An assistant's turn may have been tool calls, a refusal or nothing.
        None if role == "assistant" => Ok(()),
        None => Err(Error::invalid(at("content"), format!("a `{role}` message needs `content`"))),
        Some(Content::Text(_)) => Ok(()),
        Some(Content::Parts(parts)) => parts.iter().enumerate().try_for_each(|(number, part)| {
            if part.kind == "text" && part.text.is_none() {
                let param = at(&format!("content[{number}].text"));
                return Err(Error::invalid(param, "a part of type `text` needs `text`"));
            }
            Ok(())
        }),
    }
}
