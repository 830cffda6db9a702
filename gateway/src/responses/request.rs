//! The request: read once, and written anew as a chat request. Members are translated in their order;
//! what is not known passes as it was written; what cannot be served is refused by name.

mod format;
mod input;
mod part;
mod refuse;
mod tools;

use bytes::Bytes;

use super::Error;
use super::echo::Frame;
use super::node::{Node, Object};
use super::origin::Origins;
use super::print::ObjectOut;
use crate::request::syntax;

/// A request, as a chat request and what is left to be told of it.
#[derive(Debug, Clone)]
pub struct Translated {
    /// The chat request.
    pub chat: Bytes,
    pub stream: bool,
    /// What the answer repeats of the request.
    pub frame: Frame,
    pub origins: Origins,
}

/// Reads a request.
///
/// # Errors
/// JSON syntax with line and column; a member that is missing, doubled, of the wrong type or out of
/// range; what needs a store or a tool that the server runs.
pub fn translate(body: &[u8]) -> Result<Translated, Error> {
    let text = syntax::text(body)?;
    let root = Node::document(text).map_err(|fault| syntax::fault(text, fault))?;
    if root.kind != crate::json::Kind::Object {
        return Err(crate::request::Error::body("The request body must be a JSON object.").into());
    }
    let request = root.object("")?;
    refuse::check(&request)?;
    let frame = Frame::read(&request)?;
    let chat = Chat {
        messages: input::messages(&request)?,
        tools: tools::tools(&request)?,
        logprobs: format::logprobs(&request)?,
        stream: request.get("stream").map(|node| node.bool("stream")).transpose()? == Some(true),
        request,
    };
    let body = chat.print(text.len())?.into();
    Ok(Translated { chat: body, stream: chat.stream, frame, origins: chat.messages.origins })
}

/// The parts of the chat request.
struct Chat<'a> {
    request: Object<'a>,
    messages: input::Messages,
    tools: tools::Tools,
    logprobs: bool,
    stream: bool,
}

// === impl Chat ===

impl Chat<'_> {
    fn print(&self, bytes: usize) -> Result<String, Error> {
        let mut out = ObjectOut::with_capacity(bytes + bytes / 8 + 128);
        for member in self.request.members() {
            let value = member.value;
            match &*member.name {
                "input" => {
                    out.raw("messages", &self.messages.json);
                }
                "tools" => {
                    if let Some(tools) = &self.tools.list {
                        out.raw("tools", tools);
                    }
                }
                "text" => format::text(value, &mut out)?,
                "reasoning" => format::reasoning(value, &mut out)?,
                "include" if self.logprobs => {
                    out.raw("logprobs", "true");
                }
                // Chat wants log probabilities to be asked for first.
                "top_logprobs" if !self.logprobs => {}
                // Chat servers refuse these where there are no tools.
                "parallel_tool_calls" if self.tools.list.is_none() => {}
                "tool_choice" => {
                    if let Some(choice) = &self.tools.choice {
                        out.raw("tool_choice", choice);
                    }
                }
                "max_output_tokens" if !value.is_null() => {
                    out.raw("max_completion_tokens", value.text);
                }
                // The answer repeats it; it is about nothing a provider does.
                "metadata" => {}
                name if refuse::is_dropped(name) => {}
                _ => {
                    out.keep(member.key, value.text);
                }
            }
        }
        if self.stream {
            out.raw("stream_options", "{\"include_usage\":true}");
        }
        Ok(out.end())
    }
}
