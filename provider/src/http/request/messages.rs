//! Messages: roles, and content where a role needs it. Whether the model can read an image is the
//! engine's to say; that nothing is fetched for one is said here.

use crate::http::error::Error;
use openapi::chat::{Content, ContentPart, Message};
use serde_json::Value;

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
            let at = |member: &str| at(&format!("content[{number}].{member}"));
            part_of(part).map_err(|(member, message)| Error::invalid(at(member), message))
        }),
    }
}

/// The member at fault and why.
fn part_of(part: &ContentPart) -> Result<(), (&'static str, &'static str)> {
    match part.kind.as_str() {
        "text" if part.text.is_none() => Err(("text", "a part of type `text` needs `text`")),
        "image_url" => {
            let url = part.extra.get("image_url").and_then(|image| image.get("url"));
            match url.and_then(Value::as_str) {
                Some(url)
                    if url.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("data:")) =>
                {
                    Ok(())
                }
                Some(_) => Err((
                    "image_url.url",
                    "an image comes as a `data:` URL; this provider fetches nothing",
                )),
                None => Err(("image_url.url", "a part of type `image_url` needs `image_url.url`")),
            }
        }
        _ => Ok(()),
    }
}
