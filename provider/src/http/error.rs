//! The one door through which an error becomes a response. Always OpenAI's envelope with all four
//! members. What the caller reads and what the log says are different texts for internal errors.

use super::abort;
use crate::admission::Full;
use crate::engine;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode, Uri};
use openapi::error::ErrorBody;
use openapi::{resume, verify};
use std::future::{Ready, ready};
use std::time::Duration;

/// Everything that can go wrong with a request.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Error {
    #[error("{message}")]
    Invalid { message: String, param: Option<String>, code: Option<&'static str> },
    #[error("The model `{0}` does not exist here.")]
    UnknownModel(String),
    #[error("Unknown URL: {method} {path}")]
    UnknownPath { method: Method, path: String },
    #[error("This provider wants its key: `Authorization: Bearer …`.")]
    ApiKey,
    #[error("No lease token, or one that does not count on this connection.")]
    Lease,
    #[error("Method {0} is not allowed here.")]
    WrongMethod(Method),
    #[error("The request body is larger than {limit_bytes} bytes.")]
    TooLarge { limit_bytes: usize },
    #[error("Send the body as application/json, uncompressed, not as `{0}`.")]
    MediaType(String),
    #[error("The request body did not arrive in time.")]
    BodyTimeout,
    #[error("The connection ended inside the request body.")]
    BodyCut,
    #[error("All slots are busy and the queue is full; retry in {} s.", seconds(*retry_after))]
    Busy { retry_after: Duration },
    #[error("This provider is shutting down.")]
    Draining,
    #[error("The answer cannot be resumed here: {0}")]
    Mismatch(String),
    #[error("Other weights are served here, or none that can be scored with.")]
    OtherWeights,
    #[error("Nothing is kept of this answer.")]
    NoEvidence,
    #[error("One answer is scored at a time, within a share of the time; retry in {} s.", seconds(*retry_after))]
    Scoring { retry_after: Duration },
    #[error("{0}")]
    Unavailable(String),
    #[error("Internal error; the log has it under request id {request_id}.")]
    Internal { request_id: String },
    /// No answer at all: the connection is reset.
    #[error("reset by script")]
    Reset,
}

/// One row of the error table.
struct Row {
    status: StatusCode,
    kind: &'static str,
    param: Option<String>,
    code: Option<&'static str>,
    retry_after: Option<Duration>,
}

// === impl Error ===

impl Error {
    pub(super) fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), param: Some(param.into()), code: None }
    }

    /// An engine's error as the caller may see it; the rest goes to the log.
    pub(super) fn from_engine(error: engine::Error, request_id: &str) -> Self {
        match error {
            engine::Error::Invalid { message, param, code } => {
                Self::Invalid { message, param, code }
            }
            engine::Error::UnknownModel(model) => Self::UnknownModel(model),
            engine::Error::Mismatch(message) => Self::Mismatch(message),
            engine::Error::Unavailable(message) => Self::Unavailable(message),
            engine::Error::Internal(text) => Self::internal(request_id, &text),
            engine::Error::Abort => Self::Reset,
        }
    }

    /// An error in the request that a request is about.
    pub(super) fn inside_request(self) -> Self {
        match self {
            Self::Invalid { message, param, code } => {
                let param = param.map_or("request".to_owned(), |param| format!("request.{param}"));
                Self::Invalid { message, param: Some(param), code }
            }
            other => other,
        }
    }

    /// Logs `text` and hides it.
    pub(super) fn internal(request_id: &str, text: &str) -> Self {
        tracing::error!(request_id, error = text, "internal error");
        Self::Internal { request_id: request_id.to_owned() }
    }

    /// The envelope, for bodies and for `data: {"error": …}` events.
    pub(super) fn body(&self) -> ErrorBody {
        let row = self.row();
        ErrorBody::new(row.kind, self.to_string(), row.param, row.code)
    }

    fn row(&self) -> Row {
        const REQUEST: &str = "invalid_request_error";
        let row = |status, kind, code| Row { status, kind, param: None, code, retry_after: None };
        match self {
            Self::Invalid { param, code, .. } => {
                Row { param: param.clone(), ..row(StatusCode::BAD_REQUEST, REQUEST, *code) }
            }
            Self::UnknownModel(_) => Row {
                param: Some("model".to_owned()),
                ..row(StatusCode::NOT_FOUND, REQUEST, Some("model_not_found"))
            },
            Self::Mismatch(_) => Row {
                param: Some(format!("{}.resume", resume::MEMBER)),
                ..row(StatusCode::CONFLICT, REQUEST, Some(resume::MISMATCH))
            },
            Self::OtherWeights => Row {
                param: Some("weights_id".to_owned()),
                ..row(StatusCode::CONFLICT, REQUEST, Some(verify::WRONG_WEIGHTS))
            },
            Self::NoEvidence => row(StatusCode::NOT_FOUND, REQUEST, Some("evidence_not_found")),
            Self::UnknownPath { .. } => row(StatusCode::NOT_FOUND, REQUEST, Some("unknown_url")),
            Self::ApiKey => row(StatusCode::UNAUTHORIZED, REQUEST, Some("invalid_api_key")),
            Self::Lease => row(StatusCode::UNAUTHORIZED, REQUEST, Some("invalid_lease")),
            Self::WrongMethod(_) => {
                row(StatusCode::METHOD_NOT_ALLOWED, REQUEST, Some("method_not_allowed"))
            }
            Self::TooLarge { .. } => {
                row(StatusCode::PAYLOAD_TOO_LARGE, REQUEST, Some("request_too_large"))
            }
            Self::MediaType(_) => {
                row(StatusCode::UNSUPPORTED_MEDIA_TYPE, REQUEST, Some("unsupported_media_type"))
            }
            Self::BodyTimeout => row(StatusCode::REQUEST_TIMEOUT, REQUEST, Some("request_timeout")),
            Self::BodyCut => row(StatusCode::BAD_REQUEST, REQUEST, None),
            Self::Busy { retry_after } | Self::Scoring { retry_after } => Row {
                retry_after: Some(*retry_after),
                ..row(
                    StatusCode::TOO_MANY_REQUESTS,
                    "rate_limit_error",
                    Some("rate_limit_exceeded"),
                )
            },
            Self::Draining => {
                row(StatusCode::SERVICE_UNAVAILABLE, "server_error", Some("shutting_down"))
            }
            Self::Unavailable(_) => {
                row(StatusCode::SERVICE_UNAVAILABLE, "server_error", Some("unavailable"))
            }
            Self::Internal { .. } | Self::Reset => {
                row(StatusCode::INTERNAL_SERVER_ERROR, "server_error", Some("internal_error"))
            }
        }
    }
}

impl From<Full> for Error {
    fn from(full: Full) -> Self {
        Self::Busy { retry_after: full.retry_after }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if matches!(self, Self::Reset) {
            return abort::reset();
        }
        let row = self.row();
        let json = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let mut response = (row.status, json, self.body().to_json()).into_response();
        if let Some(after) = row.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds(after)));
        }
        response
    }
}

/// Whole seconds, rounded up: coming back a little late is better than a little early.
fn seconds(after: Duration) -> u64 {
    after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0))
}

pub(super) fn unknown_path(method: Method, uri: Uri) -> Ready<Error> {
    // A path may be as long as a header; nobody needs all of it back.
    let path = uri.path().chars().take(256).collect();
    ready(Error::UnknownPath { method, path })
}

pub(super) fn wrong_method(method: Method) -> Ready<Error> {
    ready(Error::WrongMethod(method))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table, as callers see it.
    #[test]
    fn table() {
        let errors = [
            Error::invalid("temperature", "must be at most 2"),
            Error::UnknownModel("gpt-9".into()),
            Error::UnknownPath { method: Method::GET, path: "/x".into() },
            Error::Mismatch("it was made by other weights".into()),
            Error::OtherWeights,
            Error::NoEvidence,
            Error::invalid("n", "at most 1").inside_request(),
            Error::ApiKey,
            Error::Lease,
            Error::WrongMethod(Method::PUT),
            Error::TooLarge { limit_bytes: 10 },
            Error::MediaType("text/plain".into()),
            Error::BodyTimeout,
            Error::BodyCut,
            Error::Busy { retry_after: Duration::from_millis(1500) },
            Error::Scoring { retry_after: Duration::from_secs(20) },
            Error::Draining,
            Error::Unavailable("no model is loaded".into()),
            Error::Internal { request_id: "req_1".into() },
        ];
        let table: Vec<String> = errors
            .into_iter()
            .map(|error| {
                let body = error.body().to_json();
                let response = error.into_response();
                let after = response.headers().get(RETRY_AFTER);
                format!("{} {after:?} {body}", response.status().as_u16())
            })
            .collect();
        insta::assert_snapshot!(table.join("\n"));
    }
}
