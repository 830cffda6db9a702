//! Why an attempt's stream is not, or not fully, an answer.

use bytes::Bytes;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the provider sent an event longer than {limit_bytes} bytes")]
    EventTooLarge { limit_bytes: usize },
    /// The provider reported a failure inside the stream.
    #[error("the provider reported an error: {}", .0.message)]
    ErrorEvent(Box<ProviderError>),
    /// The stream ended, by end of file or by `[DONE]`, before every choice had a `finish_reason`.
    #[error("the provider's stream ended before the answer was complete")]
    Truncated,
    #[error("the provider sent more than {limit} events that could not be read")]
    TooManyMalformed { limit: u32 },
    #[error("the provider sent more than {limit} token ids")]
    TooManyIds { limit: usize },
    #[error("the provider's answer is longer than {limit_bytes} bytes")]
    AnswerTooLarge { limit_bytes: usize },
    /// `push` or `finish` after an error: a mistake of the caller.
    #[error("the stream has already failed")]
    Failed,
}

/// The provider's own words, as far as they could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    /// The `error` member's value as it came, JSON; empty where the failure was only a `finish_reason`.
    pub raw: Bytes,
    /// HTTP status, where the provider named one as a number.
    pub status: Option<u16>,
    pub message: String,
    pub kind: Option<String>,
    pub param: Option<String>,
    pub code: Option<String>,
}
