//! What a stateless server in front of chat completions cannot do. Each is refused by its name, rather
//! than left out: a caller who asked for it would believe to have it.

use crate::json::Kind;
use crate::responses::Error;
use crate::responses::node::Object;

/// Members with nothing in a chat request to say them; [`check`] and the answer see to them.
const DROPPED: [&str; 13] = [
    "instructions",
    "include",
    "stream_options",
    "max_output_tokens",
    "max_tool_calls",
    "store",
    "background",
    "background_options",
    "previous_response_id",
    "conversation",
    "prompt",
    "context_management",
    "truncation",
];

/// What chat calls otherwise. Passed on, they would be doubled, or say something else than the request.
const CHAT_ONLY: [(&str, &str); 14] = [
    ("messages", "Use 'input' instead."),
    ("max_tokens", "Use 'max_output_tokens' instead."),
    ("max_completion_tokens", "Use 'max_output_tokens' instead."),
    ("response_format", "Use 'text.format' instead."),
    ("reasoning_effort", "Use 'reasoning.effort' instead."),
    ("verbosity", "Use 'text.verbosity' instead."),
    ("logprobs", "Use 'include' with 'message.output_text.logprobs' instead."),
    ("functions", "Use 'tools' instead."),
    ("function_call", "Use 'tool_choice' instead."),
    ("n", "A response has one answer."),
    ("modalities", "Only text is answered."),
    ("audio", "Only text is answered."),
    ("prediction", "It is a parameter of chat completions."),
    ("web_search_options", "The server runs no tools."),
];

const NOT_STORED: &str = "Responses are not stored here; send the whole conversation in 'input'.";

/// Of chat's own names only null gets here; passed on, it could be the second of two.
pub(super) fn is_dropped(name: &str) -> bool {
    DROPPED.contains(&name) || CHAT_ONLY.iter().any(|(chat, _)| *chat == name)
}

/// The first thing asked for that cannot be served.
pub(super) fn check(request: &Object<'_>) -> Result<(), Error> {
    for (name, hint) in CHAT_ONLY {
        if request.get(name).is_some() {
            let message = format!("Unknown parameter: '{name}'. {hint}");
            let code = Some("unknown_parameter");
            return Err(Error { message, param: Some(name.to_owned()), code });
        }
    }
    stored(request)?;
    if let Some(background) = request.get("background")
        && background.bool("background")?
    {
        return Err(Error::unsupported("background", "Responses are answered while you wait."));
    }
    if request.get("prompt").is_some() {
        return Err(Error::unsupported("prompt", "There are no stored prompt templates."));
    }
    if let Some(truncation) = request.get("truncation") {
        match &*truncation.string("truncation")? {
            "disabled" => {}
            "auto" => {
                let why = "Only 'disabled' is served: nothing is dropped from the input.";
                return Err(Error::unsupported("truncation", why));
            }
            _ => return Err(Error::invalid("truncation", "'disabled'")),
        }
    }
    if let Some(management) = request.get("context_management")
        && !management.items("context_management")?.is_empty()
    {
        let why = "The input is never compacted here.";
        return Err(Error::unsupported("context_management", why));
    }
    if let Some(options) = request.get("stream_options") {
        options.of(Kind::Object, "stream_options", "an object")?;
    }
    Ok(())
}

fn stored(request: &Object<'_>) -> Result<(), Error> {
    if let Some(id) = request.get("previous_response_id") {
        let id = id.string("previous_response_id")?;
        let shown: String = id.chars().take(128).collect();
        let message = format!("Previous response with id '{shown}' not found. {NOT_STORED}");
        let code = Some("previous_response_not_found");
        return Err(Error { message, param: Some("previous_response_id".to_owned()), code });
    }
    if request.get("conversation").is_some() {
        return Err(Error::unsupported("conversation", NOT_STORED));
    }
    if let Some(store) = request.get("store")
        && store.bool("store")?
    {
        let why = "Responses are not stored here: leave it out, or send false.";
        return Err(Error::unsupported("store", why));
    }
    Ok(())
}
