//! Why an attempt, or all attempts of a request, came to nothing.

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::time::Duration;

use crate::stream::ProviderError;

/// Of a provider's error answer; more is cut off.
pub(super) const ERROR_BODY_MAX: usize = 64 * 1024;

/// In which phase the provider was when time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Connect,
    Head,
    FirstContent,
    MidStream,
    Request,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Head => "response head",
            Self::FirstContent => "first content",
            Self::MidStream => "mid-stream",
            Self::Request => "request",
        }
    }
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Nobody to ask: no offer, or every one is cooling down after failures.
    #[error("no provider can serve the model now: {reason}")]
    NoProvider { reason: Cow<'static, str>, retry_after: Option<Duration> },
    #[error("could not connect to the provider: {0}")]
    Connect(String),
    /// Its connection ended before anything was sent.
    #[error("the provider has just left")]
    Gone,
    /// The URL leads to an address that providers may not have.
    #[error("the provider's address is not allowed")]
    Forbidden,
    #[error("the provider's connection broke: {0}")]
    Broken(String),
    #[error("no answer from the provider in time ({})", .0.as_str())]
    Timeout(Phase),
    /// The provider's word about the request itself; it would be the same anywhere, if it is true.
    #[error("the provider refused the request with status {status}")]
    Rejected { status: StatusCode, body: Bytes },
    #[error("the provider is at its limit")]
    RateLimited { retry_after: Option<Duration> },
    /// Nobody has room for so long.
    #[error("no provider has room for it in time")]
    Busy { retry_after: Duration },
    /// Any other status: its own failure, or one about our credentials there.
    #[error("the provider answered with status {0}")]
    Status(StatusCode),
    #[error("the provider answered with {0}")]
    NotAStream(String),
    /// An error event before or in the stream. This text goes to the log, and the provider's own
    /// words may quote the prompt: they are for the client alone.
    #[error("the provider reported an error in its stream")]
    ErrorEvent(Box<ProviderError>),
    #[error("the provider's stream is not usable: {0}")]
    Stream(String),
    /// The body ended without a finish reason.
    #[error("the provider's stream ended before the answer did")]
    Truncated,
    /// Those who were asked do not say the same, and the client wants no other answer.
    #[error("not verified: {0}")]
    NotAgreed(String),
    /// Cut because this gateway stops.
    #[error("the gateway is shutting down")]
    Draining,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl Error {
    /// No provider may serve it, now and later.
    pub(super) fn unserved(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::NoProvider { reason: reason.into(), retry_after: None }
    }

    /// Whether it speaks of one model only.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Rejected { .. } | Self::NoProvider { .. } | Self::Busy { .. })
    }

    /// Whether the request is too long for the model there.
    pub(super) fn is_about_context(&self) -> bool {
        self.rejection().is_some_and(|error| {
            error.code.as_deref() == Some("context_length_exceeded")
                // vLLM has no code for it.
                || error.message.contains("maximum context length")
        })
    }

    /// Whether what is asked for is against the provider's rules: nobody shops around for another's.
    pub(super) fn is_about_content(&self) -> bool {
        const CODES: [&str; 3] =
            ["content_policy_violation", "content_filter", "moderation_blocked"];
        let code = self.rejection().and_then(|error| error.code);
        code.is_some_and(|code| CODES.contains(&code.as_str()))
    }

    /// What a refusal says of itself.
    fn rejection(&self) -> Option<ProviderError> {
        let Self::Rejected { body, .. } = self else { return None };
        let envelope: Result<Envelope<'_>, _> = serde_json::from_slice(body);
        let error = envelope.ok().and_then(|envelope| envelope.error);
        Some(ProviderError::read(error.map_or(body, |error| error.get().as_bytes())))
    }

    /// Whether the same provider may do better at once: it broke before it said anything about the
    /// request, or failed for no reason it gave.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Broken(_) => true,
            Self::Status(status) => status.is_server_error(),
            _ => false,
        }
    }

    /// Whether another provider may do better.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Rejected { .. }
            | Self::NoProvider { .. }
            | Self::Busy { .. }
            | Self::Timeout(Phase::Request)
            | Self::NotAgreed(_)
            | Self::Draining => false,
            Self::Connect(_)
            | Self::Gone
            | Self::Forbidden
            | Self::Broken(_)
            | Self::Timeout(_)
            | Self::RateLimited { .. }
            | Self::Status(_)
            | Self::NotAStream(_)
            | Self::ErrorEvent(_)
            | Self::Stream(_)
            | Self::Truncated => true,
        }
    }

    /// Whether a provider's status is its word about the request itself. Its 401 and 403 are about our
    /// credentials there, its 404 about its own models.
    pub(super) fn is_about_request(status: StatusCode) -> bool {
        matches!(
            status,
            StatusCode::BAD_REQUEST
                | StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::UNSUPPORTED_MEDIA_TYPE
                | StatusCode::UNPROCESSABLE_ENTITY
        )
    }

    /// What an error event comes to: the same as the answer it would have been, had the provider known
    /// before it sent its status line.
    pub(super) fn from_event(event: Box<ProviderError>) -> Self {
        let named = event.status.and_then(|status| StatusCode::from_u16(status).ok());
        match named.or_else(|| is_about_request(&event).then_some(StatusCode::BAD_REQUEST)) {
            Some(StatusCode::TOO_MANY_REQUESTS) => Self::RateLimited { retry_after: None },
            Some(status) if Self::is_about_request(status) && event.raw.len() <= ERROR_BODY_MAX => {
                let body = [b"{\"error\":", &*event.raw, b"}"].concat();
                Self::Rejected { status, body: body.into() }
            }
            _ => Self::ErrorEvent(event),
        }
    }

    /// Whether it counts against the provider's health. A 429 is honesty, not failure; who has left
    /// is not asked again anyway.
    pub(super) fn is_failure(&self) -> bool {
        self.is_retryable() && !matches!(self, Self::RateLimited { .. } | Self::Gone)
    }
}

/// Whether an error event without a status is about the request, by OpenAI's word for it. It says the
/// same of our credentials and of models that the provider lacks.
fn is_about_request(event: &ProviderError) -> bool {
    const OTHERS: [&str; 2] = ["invalid_api_key", "model_not_found"];
    event.kind.as_deref() == Some("invalid_request_error")
        && event.code.as_deref().is_none_or(|code| !OTHERS.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(status: Option<u16>, raw: &str) -> Error {
        Error::from_event(Box::new(ProviderError {
            raw: Bytes::copy_from_slice(raw.as_bytes()),
            status,
            message: "cannot answer: my prompt".to_owned(),
            kind: None,
            param: None,
            code: None,
        }))
    }

    #[test]
    fn a_providers_words_are_not_for_the_log() {
        for status in [None, Some(400), Some(429), Some(500)] {
            let error = event(status, r#"{"message":"cannot answer: my prompt"}"#);
            assert!(!error.to_string().contains("my prompt"), "{error}");
        }
    }

    #[test]
    fn an_event_with_a_status_is_what_the_status_would_have_been() {
        assert!(matches!(event(Some(400), "{}"), Error::Rejected { .. }));
        assert!(matches!(event(Some(429), "{}"), Error::RateLimited { .. }));
        for status in [None, Some(401), Some(404), Some(500)] {
            assert!(matches!(event(status, "{}"), Error::ErrorEvent(_)), "{status:?}");
        }
        let about = |kind: &str, code: Option<&str>| {
            Error::from_event(Box::new(ProviderError {
                kind: Some(kind.to_owned()),
                code: code.map(str::to_owned),
                ..ProviderError::read(b"{}")
            }))
        };
        for code in [None, Some("context_length_exceeded")] {
            let error = about("invalid_request_error", code);
            assert!(matches!(error, Error::Rejected { .. }), "{code:?}");
        }
        for code in ["invalid_api_key", "model_not_found"] {
            let error = about("invalid_request_error", Some(code));
            assert!(matches!(error, Error::ErrorEvent(_)), "{code}");
        }
        assert!(matches!(about("server_error", None), Error::ErrorEvent(_)));
        let long = "x".repeat(ERROR_BODY_MAX + 1);
        assert!(matches!(event(Some(400), &long), Error::ErrorEvent(_)));
    }
}
