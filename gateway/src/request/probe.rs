//! The one reading of a request body: checks the syntax of all of it and the members acted on.

use bytes::Bytes;
use std::borrow::Cow;

use super::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    ChatCompletions,
    Completions,
}

/// A member's value in the body, as a byte range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A request, borrowed from its body. Raw values are JSON text as the client sent it.
#[derive(Debug, Clone)]
pub struct Probe<'a> {
    pub model: Cow<'a, str>,
    /// Raw; always there for chat completions.
    pub messages: Option<&'a str>,
    /// Raw; always there for completions.
    pub prompt: Option<&'a str>,
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
    /// The client wants a stream.
    pub stream: bool,
    /// The client asked for usage in its stream.
    pub include_usage: bool,
    /// `n`, 1 to 128.
    pub choices: u32,
    /// `max_completion_tokens`, else `max_tokens`.
    pub max_tokens: Option<u64>,
    /// Bytes of the raw `messages` or `prompt`.
    pub prompt_bytes: usize,
    /// Messages; 1 for completions.
    pub messages: usize,
    pub seed: Option<i64>,
    pub temperature: Option<f64>,
    /// Asks for log probabilities.
    pub logprobs: bool,
    pub tools: bool,
    /// A `response_format` other than `text`.
    pub structured: bool,
    pub(crate) spots: Spots,
}

/// Where the rewrite splices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spots {
    pub(crate) model: Option<Span>,
}

impl<'a> Probe<'a> {
    /// Reads the body.
    ///
    /// # Errors
    /// JSON syntax with line and column; a member acted on that is missing, doubled, of the wrong type
    /// or out of range, named in `param`.
    pub fn parse(body: &'a Bytes, endpoint: Endpoint) -> Result<Self, Error> {
        let _ = (body, endpoint);
        Err(Error { message: String::new(), param: None })
    }

    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    pub fn into_summary(self) -> Summary {
        self.summary
    }
}
