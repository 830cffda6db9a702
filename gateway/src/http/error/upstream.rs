//! What the client is told of a failure in another module: a request that is wrong, attempts that came
//! to nothing. Of the
//! latter the log has the cause with the provider's name; the client has what it can act on.

use super::{Error, Phase};
use crate::upstream;

impl Error {
    /// `model` is the name the client asked for.
    pub fn from_upstream(error: upstream::Error, model: &str) -> Self {
        use upstream::Error as Upstream;
        let failed = |message: &str| Self::ProviderError { message: message.to_owned() };
        match error {
            Upstream::NoProvider { reason, retry_after } => Self::NoProvider {
                model: model.to_owned(),
                reason: reason.into_owned(),
                retry_after,
            },
            Upstream::Connect(_) | Upstream::Gone => failed("The provider could not be reached."),
            Upstream::Forbidden => failed("The provider's address is not allowed."),
            Upstream::Broken(_) => failed("The connection to the provider broke."),
            Upstream::Timeout(phase) => Self::Timeout { phase: phase.into() },
            Upstream::Rejected { status, body } => Self::UpstreamRejected { status, body },
            Upstream::RateLimited { retry_after } => Self::ProviderRateLimited { retry_after },
            Upstream::Status(status) => {
                failed(&format!("The provider failed with status {}.", status.as_u16()))
            }
            Upstream::Busy { retry_after } => {
                Self::ProviderRateLimited { retry_after: Some(retry_after) }
            }
            Upstream::NotAStream(_) => failed("The provider's answer was not usable."),
            Upstream::ErrorEvent(error) => {
                failed(&format!("The provider reported an error: {}", error.message))
            }
            Upstream::Stream(what) => {
                failed(&format!("The provider's answer was not usable: {what}."))
            }
            Upstream::Truncated => failed("The provider's answer ended before it was complete."),
            Upstream::NotAgreed(reason) => Self::ConsensusNotReached { reason },
            Upstream::Draining => Self::Draining,
        }
    }
}

impl From<upstream::Phase> for Phase {
    fn from(phase: upstream::Phase) -> Self {
        match phase {
            upstream::Phase::Connect => Self::Connect,
            upstream::Phase::Head => Self::Head,
            upstream::Phase::FirstContent => Self::FirstContent,
            upstream::Phase::MidStream => Self::Stall,
            upstream::Phase::Request => Self::Request,
        }
    }
}

impl From<crate::request::Error> for Error {
    fn from(error: crate::request::Error) -> Self {
        let crate::request::Error { message, param } = error;
        Self::InvalidRequest { message, param, code: None }
    }
}

impl From<crate::responses::Error> for Error {
    fn from(error: crate::responses::Error) -> Self {
        let crate::responses::Error { message, param, code } = error;
        Self::InvalidRequest { message, param, code }
    }
}
