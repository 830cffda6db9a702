//! Why an attempt, or all attempts of a request, came to nothing.

use bytes::Bytes;
use std::time::Duration;

use crate::stream::ProviderError;

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
    NoProvider { reason: &'static str, retry_after: Duration },
    #[error("could not connect to the provider: {0}")]
    Connect(String),
    /// The URL leads to an address that providers may not have.
    #[error("the provider's address is not allowed")]
    Forbidden,
    #[error("the provider's connection broke: {0}")]
    Broken(String),
    #[error("no answer from the provider in time ({})", .0.as_str())]
    Timeout(Phase),
    /// The provider's word about the request itself; it would be the same anywhere.
    #[error("the provider refused the request with status {status}")]
    Rejected { status: http::StatusCode, body: Bytes },
    #[error("the provider is at its limit")]
    RateLimited { retry_after: Option<Duration> },
    /// Any other status: its own failure, or one about our credentials there.
    #[error("the provider answered with status {0}")]
    Status(http::StatusCode),
    #[error("the provider answered with {0}")]
    NotAStream(String),
    /// An error event before or in the stream.
    #[error("the provider reported an error: {}", .0.message)]
    ErrorEvent(Box<ProviderError>),
    #[error("the provider's stream is not usable: {0}")]
    Stream(String),
    /// The body ended without a finish reason.
    #[error("the provider's stream ended before the answer did")]
    Truncated,
    /// Cut because this gateway stops.
    #[error("the gateway is shutting down")]
    Draining,
}

impl Error {
    /// Whether another provider may do better.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Rejected { .. }
            | Self::NoProvider { .. }
            | Self::Timeout(Phase::Request)
            | Self::Draining => false,
            Self::Connect(_)
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

    /// Whether it counts against the provider's health. A 429 is honesty, not failure.
    pub(super) fn is_failure(&self) -> bool {
        self.is_retryable() && !matches!(self, Self::RateLimited { .. })
    }
}
