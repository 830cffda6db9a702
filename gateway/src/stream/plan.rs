//! What the client of one attempt must see, and the limits the attempt is held to.

use std::sync::Arc;

/// One per upstream attempt.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The name the client must see in `model`; spliced only where it differs.
    pub model: Arc<str>,
    /// What the client has already been sent by an earlier attempt; spliced where it differs.
    /// Without it the first event's own `id` and `created` hold for the whole stream.
    pub identity: Option<Identity>,
    /// Stands in where the provider sends no `id` or `created`.
    pub fallback: Fallback,
    pub usage: UsageMode,
    /// Takes the evidence comments out and keeps what they say. Off: they are relayed like any comment.
    pub evidence: bool,
    pub limits: Limits,
    /// `n` of the request, at least 1.
    pub choices: u32,
}

/// `id` and `created` (Unix seconds) of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub id: Arc<str>,
    pub created: i64,
}

/// `id` and `created` (Unix seconds) for providers that send none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    pub id: Arc<str>,
    pub created: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageMode {
    /// The client asked for usage: it gets it once, on a chunk of its own, as the last before `[DONE]`.
    Pass,
    /// The gateway asked, the client did not: it sees none.
    Strip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest event, its blank line not counted.
    pub event_bytes_max: usize,
    /// Token ids kept of all choices together.
    pub ids_max: usize,
    /// Malformed events dropped before the attempt is given up.
    pub malformed_max: u32,
    /// Longest assembled answer, in bytes of text.
    pub answer_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_bytes_max: 1 << 20,
            ids_max: 1 << 20,
            malformed_max: 16,
            answer_bytes_max: 32 << 20,
        }
    }
}
