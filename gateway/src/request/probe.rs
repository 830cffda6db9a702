//! The one reading of a request body: checks the syntax of all of it and the members acted on. What it
//! does not act on it passes over, and the provider judges.

mod members;

use bytes::Bytes;
use std::borrow::Cow;

use super::{Error, Media, syntax};
use crate::json::Span;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    ChatCompletions,
    Completions,
    Embeddings,
}

/// A request, borrowed from its body. Raw values are JSON text as the client sent it.
#[derive(Debug, Clone)]
pub struct Probe<'a> {
    pub model: Cow<'a, str>,
    /// Raw; always there for chat completions.
    pub messages: Option<&'a str>,
    /// Raw; always there for completions.
    pub prompt: Option<&'a str>,
    /// Raw; always there for embeddings.
    pub input: Option<&'a str>,
    pub user: Option<Cow<'a, str>>,
    /// Raw, unchecked, `None` where absent or null.
    pub tools: Option<&'a str>,
    /// Raw, unchecked, `None` where absent or null.
    pub response_format: Option<&'a str>,
    /// Raw, unchecked, `None` where absent or null.
    pub provider: Option<&'a str>,
    /// Raw, unchecked, `None` where absent or null.
    pub verification: Option<&'a str>,
    summary: Summary,
}

/// What outlives the borrow: the facts the gateway acts on and where to splice.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    pub model: String,
    /// Whom to ask when the model can't answer, in this order.
    pub models: Vec<String>,
    /// The client wants a stream.
    pub stream: bool,
    /// The client asked for usage in its stream.
    pub include_usage: bool,
    /// `n`, 1 to 128; for completions times the number of prompts.
    pub choices: u32,
    /// `max_completion_tokens`, else `max_tokens`.
    pub max_tokens: Option<u64>,
    /// Bytes of the raw `messages`, `prompt` or `input`.
    pub prompt_bytes: usize,
    /// Messages; prompts for completions; inputs to embed.
    pub messages: usize,
    /// Of the messages.
    pub media: Media,
    pub seed: Option<i64>,
    pub temperature: Option<f64>,
    /// Asks for log probabilities.
    pub logprobs: bool,
    /// Offers tools.
    pub tools: bool,
    /// Asks for a `response_format` other than text.
    pub structured: bool,
    pub(super) foreign: Option<Span>,
    pub(super) spots: Spots,
}

/// Where the rewrite splices, as offsets in the body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spots {
    /// Right after the opening brace.
    pub(super) open: usize,
    /// Absent where `models` alone names one.
    pub(super) model: Option<Span>,
    /// The value of `stream`.
    pub(super) stream: Option<Span>,
    /// The value of `seed`.
    pub(super) seed: Option<Span>,
    pub(super) options: Option<Options>,
    /// Members for the gateway alone, from key to value: `provider`, `verification`, `models`, `quorate`.
    pub(super) ours: [Option<Span>; 4],
    pub(super) max_tokens: Option<Spot>,
    pub(super) max_completion_tokens: Option<Spot>,
    /// The value of a chat's `messages`.
    pub(super) messages: Option<Span>,
    /// The value of `prompt`.
    pub(super) prompt: Option<Span>,
}

/// A member that may be renamed or taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    /// Where its key's quote stands.
    pub(super) key: usize,
    pub(super) value: Span,
}

/// `stream_options`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// Where its key's quote stands.
    pub(super) key: usize,
    pub(super) value: Span,
    /// An object, not null.
    pub(super) object: bool,
    /// The value of `include_usage` in it.
    pub(super) include_usage: Option<Span>,
}

impl<'a> Probe<'a> {
    /// Reads the body.
    ///
    /// # Errors
    /// JSON syntax with line and column; a member acted on that is missing, doubled, of the wrong type
    /// or out of range, named in `param`.
    pub fn parse(body: &'a Bytes, endpoint: Endpoint) -> Result<Self, Error> {
        let text = syntax::text(body)?;
        let found = members::read(text).map_err(|fault| syntax::fault(text, fault))??;
        found.probe(endpoint)
    }

    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    pub fn into_summary(self) -> Summary {
        self.summary
    }
}

/// A longer name is not repeated.
const NAME_BYTES_MAX: usize = 64;

impl Summary {
    /// The first member, if there is one, that no feature of a provider stands for. What is no plain name is
    /// not repeated.
    pub fn foreign<'a>(&self, body: &'a [u8]) -> Option<&'a str> {
        let key = self.foreign?.of(body);
        let is_plain =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let name = key.get(1..key.len().saturating_sub(1)).unwrap_or_default();
        let is_name = (1..=NAME_BYTES_MAX).contains(&name.len()) && name.iter().all(is_plain);
        Some(std::str::from_utf8(name).ok().filter(|_| is_name).unwrap_or("a member"))
    }

    /// The prompt as JSON, as far as it lies in one piece of the body.
    pub fn opening<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        let span = self.spots.messages.or(self.spots.prompt);
        span.and_then(|span| body.get(span.start..span.end)).unwrap_or_default()
    }
}
