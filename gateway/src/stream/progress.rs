//! What has been seen of one attempt so far. Facts only: the caller decides what follows from them.

use openapi::chat::FinishReason;
use openapi::evidence::Provenance;
use openapi::usage::Usage;

use super::Identity;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// A non-empty content, reasoning, refusal or tool delta was seen, or a `finish_reason`.
    pub content_seen: bool,
    /// Each of the choices asked for had its `finish_reason`.
    pub finished: bool,
    /// `[DONE]` was seen and handed on: nothing follows.
    pub done: bool,
    /// The last usage the provider sent.
    pub usage: Option<Usage>,
    /// What the client sees as `id` and `created`.
    pub identity: Option<Identity>,
    /// Token ids by choice, from the evidence comments.
    pub ids: Vec<Vec<u32>>,
    pub provenance: Option<Provenance>,
    /// Decoded UTF-8 bytes of generated text, all choices: content, reasoning, refusal, arguments.
    pub text_bytes: u64,
    /// Events dropped because they could not be read.
    pub malformed: u32,
    /// Chunks (events with `choices`) read, those of usage alone included.
    pub events: u64,
}

impl Progress {
    /// Token ids told so far, of all choices.
    pub fn tokens_told(&self) -> usize {
        self.ids.iter().map(Vec::len).sum()
    }
}

/// What there is to be checked of one choice of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkable {
    pub choice: u32,
    /// [`openapi::verify::TextHash`], hex; absent where its text has none.
    pub text_sha256: Option<String>,
    pub finish: Option<FinishReason>,
}

/// How a stream came to its end: returned only where the end is backed by evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// The provider left `[DONE]` out; it was added after every choice had finished.
    pub done_added: bool,
}
