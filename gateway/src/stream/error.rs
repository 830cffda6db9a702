//! Why an attempt's stream is not, or not fully, an answer.

use bytes::Bytes;
use serde_json::Value;

use super::scan::TooLarge;

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
    /// Sent whole in place of a stream, and not what an answer looks like.
    #[error("the provider sent JSON that is no answer")]
    NotAnAnswer,
    /// A whole answer can hold text only.
    #[error("the provider sent {member} that is not text")]
    NotText { member: &'static str },
    /// `push` or `finish` after an error: a mistake of the caller.
    #[error("the stream has already failed")]
    Failed,
}

/// Of a provider's message; more is cut off.
const MESSAGE_BYTES_MAX: usize = 2048;

/// The provider's own words, as far as they could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    /// The `error` member's value as it came, JSON; empty where the failure was only a `finish_reason`.
    pub raw: Bytes,
    /// HTTP status, 400 to 599, where the provider named one as a number.
    pub status: Option<u16>,
    /// Never empty, at most 2 KiB.
    pub message: String,
    pub kind: Option<String>,
    pub param: Option<String>,
    pub code: Option<String>,
}

// === impl Error ===

impl Error {
    pub(crate) fn too_large(limit_bytes: usize) -> impl FnOnce(TooLarge) -> Self {
        move |TooLarge| Self::EventTooLarge { limit_bytes }
    }
}

// === impl ProviderError ===

impl ProviderError {
    /// Reads an error value: an object in any of the customary shapes, or a bare text.
    pub(crate) fn read(raw: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(raw).unwrap_or_default();
        let text = |name: &str| match value.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let status = ["status", "status_code", "code"]
            .iter()
            .filter_map(|name| value.get(*name)?.as_u64())
            .find_map(|number| u16::try_from(number).ok().filter(|code| (400..600).contains(code)));
        let message = text("message")
            .or_else(|| text("detail"))
            .or_else(|| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned))
            .map(cut)
            .unwrap_or_else(|| "the provider gave no reason".to_owned());
        Self {
            raw: Bytes::copy_from_slice(raw),
            status,
            message,
            kind: text("type"),
            param: text("param"),
            code: text("code"),
        }
    }

    pub(crate) fn from_finish_reason(word: &str) -> Self {
        Self {
            raw: Bytes::new(),
            status: None,
            message: format!("the generation ended with finish_reason {word:?}"),
            kind: None,
            param: None,
            code: None,
        }
    }
}

fn cut(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
    message
}
