//! The one error door: the only place where a failure becomes a response. The message (`Display`) is
//! what the client reads; it never holds a key, a prompt, or an internal detail. What the log says is
//! written where the failure is known, under the same request id.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use openapi::error::ErrorBody;
use openapi::node::UPGRADE;
use std::time::Duration;

use crate::market::Refusal;
use crate::metrics::Outcome;

mod foreign;
mod missing;
mod upstream;

pub use missing::Missing;

/// Everything that can go wrong for a client.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The request is at fault; `param` names the member.
    #[error("{message}")]
    InvalidRequest { message: String, param: Option<String>, code: Option<&'static str> },
    #[error("{}", .0.message())]
    Unauthorized(Credentials),
    #[error("{message}")]
    Forbidden { message: String, code: &'static str },
    #[error("The model `{}` does not exist or you do not have access to it.", shown(model))]
    /// `param` is the member that names it.
    ModelNotFound { model: String, param: &'static str },
    /// Of the admin API.
    #[error("{message}.")]
    KeyNotFound { message: String },
    /// Of the admin API.
    #[error("Nothing is known of a node `{}`.", shown(id))]
    NodeNotFound { id: String },
    /// A node may not join.
    #[error("{0}")]
    Refused(Refusal),
    /// Of the node listener: its tunnel is an upgrade.
    #[error("This request must ask for an upgrade of its connection to {UPGRADE}.")]
    UpgradeRequired,
    #[error("{0}")]
    NoReceipt(Missing),
    /// No response is stored, whatever its id.
    #[error("Response with id '{}' not found. Responses are not stored here.", shown(id))]
    ResponseNotFound { id: String },
    #[error("Unknown request URL: {method} {}. Please check the URL for typos.", shown(path))]
    UnknownUrl { method: Method, path: String },
    #[error("Not allowed to {method} on {}.", shown(path))]
    MethodNotAllowed { method: Method, path: String },
    #[error("The request body stood still for {} ms before it was complete.", idle.as_millis())]
    RequestTimeout { idle: Duration },
    #[error("The request body is longer than the limit of {limit_bytes} bytes.")]
    TooLarge { limit_bytes: u64 },
    #[error("{message}")]
    UnsupportedMediaType { message: String },
    #[error("The request headers are longer than the limit of {limit_bytes} bytes.")]
    HeadersTooLarge { limit_bytes: usize },
    /// The request line and the headers could not be read.
    #[error("The request is not well-formed HTTP.")]
    Malformed,
    #[error("The request URL is longer than the limit of {limit_bytes} bytes.")]
    UrlTooLong { limit_bytes: usize },
    /// As much is held of other requests' bodies as may be.
    #[error("The gateway holds as many request bodies as it may; send the request again.")]
    Overloaded,
    /// Our own limits.
    #[error("Rate limit reached for {limit}.")]
    RateLimited { limit: String, retry_after: Option<Duration> },
    /// A key's own limit, which the request could not meet however long it waited.
    #[error(
        "Request too large for tokens per minute (limit {limit}, requested {asked}): it can never \
         pass. Ask for fewer tokens or send a shorter prompt."
    )]
    OverLimit { limit: u32, asked: u64 },
    /// No provider can take it; the reason names the policy that left none.
    #[error("No provider can serve the model `{}` now: {reason}.", shown(model))]
    NoProvider { model: String, reason: String, retry_after: Option<Duration> },
    /// The last provider failed.
    #[error("{message}")]
    ProviderError { message: String },
    /// Not enough of those who were asked say the same, and the client wants no other answer.
    #[error("The answer could not be verified: {reason}.")]
    ConsensusNotReached { reason: String },
    #[error("All providers of this model are at their rate limit.")]
    ProviderRateLimited { retry_after: Option<Duration> },
    /// A provider's 4xx about the request itself: passed on as it is when it is OpenAI's shape.
    #[error("{}", foreign::message(*status, body))]
    UpstreamRejected { status: StatusCode, body: Bytes },
    #[error("{}", phase.message())]
    Timeout { phase: Phase },
    #[error("The gateway is shutting down; send the request again.")]
    Draining,
    /// The client left; nobody reads this. Logged and counted as 499.
    #[error("The client closed the connection.")]
    ClientGone,
    /// `id` is in the log beside the cause.
    #[error("The gateway failed to handle the request. The incident is {id}.")]
    Internal { id: String },
}

/// What is wrong with the caller's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credentials {
    Missing,
    /// There is an Authorization header, and it is not `Bearer KEY`.
    Malformed,
    Unknown,
}

/// What took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Connect,
    Head,
    FirstContent,
    Stall,
    Request,
}

/// Whose fault it is: for logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Client,
    Gateway,
    Provider,
}

/// A row of the error table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub status: StatusCode,
    /// `error.type`.
    pub kind: &'static str,
    /// `error.code`.
    pub code: Option<&'static str>,
    /// `x-should-retry`: false wherever a retry would repeat what was already tried here.
    pub retry: bool,
    pub origin: Origin,
    pub outcome: Outcome,
}

/// Names in messages are cut here, in bytes.
const SHOWN_MAX: usize = 256;
const CLIENT_GONE: u16 = 499;
/// Longer waits are cut to this: above it Node's SDK waits as it likes, above two minutes Python's
/// does not come back at all.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
const INVALID: &str = "invalid_request_error";

// === impl Error ===

impl Error {
    /// A request that is wrong in `param`.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidRequest { message: message.into(), param: Some(param.into()), code: None }
    }

    /// The table. Exhaustive on purpose: a new variant needs a row.
    pub fn row(&self) -> Row {
        use Origin::{Client, Gateway, Provider};
        let wrong = |status, code, outcome| (status, INVALID, Some(code), false, Client, outcome);
        let limited = |retry| {
            let code = Some("rate_limit_exceeded");
            (429, "rate_limit_error", code, retry, Gateway, Outcome::RateLimited)
        };
        let failed =
            |status, code, outcome| (status, "server_error", Some(code), false, Provider, outcome);
        let (status, kind, code, retry, origin, outcome) = match self {
            Self::InvalidRequest { code, .. } => {
                (400, INVALID, *code, false, Client, Outcome::InvalidRequest)
            }
            Self::Unauthorized(_) => wrong(401, "invalid_api_key", Outcome::Unauthorized),
            Self::Forbidden { code, .. } => {
                (403, "permission_error", Some(*code), false, Client, Outcome::Forbidden)
            }
            Self::ModelNotFound { .. } => wrong(404, "model_not_found", Outcome::NotFound),
            Self::KeyNotFound { .. } => wrong(404, "key_not_found", Outcome::NotFound),
            Self::NodeNotFound { .. } => wrong(404, "node_not_found", Outcome::NotFound),
            Self::NoReceipt(missing) => return missing.row(),
            Self::Refused(refusal) => return refused(refusal),
            Self::UpgradeRequired => wrong(426, "upgrade_required", Outcome::InvalidRequest),
            Self::ResponseNotFound { .. } => (404, INVALID, None, false, Client, Outcome::NotFound),
            Self::UnknownUrl { .. } => wrong(404, "unknown_url", Outcome::NotFound),
            Self::MethodNotAllowed { .. } => wrong(405, "method_not_supported", Outcome::NotFound),
            Self::RequestTimeout { .. } => {
                (408, INVALID, Some("request_timeout"), true, Client, Outcome::Timeout)
            }
            Self::TooLarge { .. } => wrong(413, "request_too_large", Outcome::TooLarge),
            Self::UnsupportedMediaType { .. } => {
                wrong(415, "unsupported_media_type", Outcome::InvalidRequest)
            }
            Self::HeadersTooLarge { .. } => wrong(431, "headers_too_large", Outcome::TooLarge),
            Self::Malformed => wrong(400, "malformed_request", Outcome::InvalidRequest),
            Self::UrlTooLong { .. } => wrong(414, "url_too_long", Outcome::TooLarge),
            Self::OverLimit { .. } => limited(false),
            // An SDK's retry would be bound to fail, since it comes before the wait is over.
            Self::RateLimited { retry_after, .. } => {
                limited(retry_after.is_none_or(|after| after <= RETRY_AFTER_MAX))
            }
            Self::NoProvider { retry_after, .. } => {
                let (code, retry) = (Some("no_provider"), retry_after.is_some());
                (503, "service_unavailable_error", code, retry, Gateway, Outcome::NoProvider)
            }
            Self::ProviderError { .. } => failed(502, "provider_error", Outcome::ProviderError),
            Self::ConsensusNotReached { .. } => {
                failed(502, "consensus_not_reached", Outcome::NotAgreed)
            }
            Self::ProviderRateLimited { .. } => {
                let code = Some("provider_rate_limited");
                (429, "rate_limit_error", code, true, Provider, Outcome::RateLimited)
            }
            Self::UpstreamRejected { status, .. } => return foreign::row(*status),
            Self::Timeout { .. } => failed(504, "timeout", Outcome::Timeout),
            Self::Draining => {
                let code = Some("draining");
                (503, "service_unavailable_error", code, true, Gateway, Outcome::Draining)
            }
            Self::ClientGone => {
                (CLIENT_GONE, INVALID, Some("client_gone"), false, Client, Outcome::ClientGone)
            }
            Self::Overloaded => {
                let code = Some("overloaded");
                (503, "service_unavailable_error", code, true, Gateway, Outcome::RateLimited)
            }
            Self::Internal { .. } => {
                (500, "server_error", Some("internal"), false, Gateway, Outcome::Internal)
            }
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Row { status, kind, code, retry, origin, outcome }
    }

    /// The envelope, for a body or for an error event in mid-stream.
    pub fn to_event(&self) -> ErrorBody {
        if let Self::UpstreamRejected { status, body } = self {
            return foreign::envelope(*status, body);
        }
        let row = self.row();
        let param = match self {
            Self::InvalidRequest { param, .. } => param.clone(),
            Self::ModelNotFound { param, .. } => Some((*param).to_owned()),
            Self::Refused(refusal) => refusal.param().map(str::to_owned),
            Self::ConsensusNotReached { .. } => Some("verification".to_owned()),
            _ => None,
        };
        ErrorBody::new(row.kind, self.to_string(), param, row.code)
    }

    fn retry_after(&self) -> Option<Duration> {
        let after = match self {
            Self::RateLimited { retry_after, .. }
            | Self::NoProvider { retry_after, .. }
            | Self::ProviderRateLimited { retry_after } => *retry_after,
            Self::Refused(refusal) => refusal.retry_after(),
            Self::Draining | Self::Overloaded | Self::NoReceipt(Missing::Pending(_)) => {
                Some(Duration::from_secs(1))
            }
            _ => None,
        };
        after.map(|after| after.min(RETRY_AFTER_MAX))
    }

    fn headers(&self, row: Row) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(6);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let retry = HeaderValue::from_static(if row.retry { "true" } else { "false" });
        headers.insert("x-should-retry", retry);
        if let Some(after) = self.retry_after() {
            // Whole seconds for the standard header, rounded up; the exact time beside it.
            let seconds = after.as_millis().div_ceil(1000).max(1);
            for (name, value) in
                [("retry-after", seconds), ("retry-after-ms", after.as_millis().max(1))]
            {
                if let Ok(value) = HeaderValue::try_from(value.to_string()) {
                    headers.insert(name, value);
                }
            }
        }
        if row.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if row.status == StatusCode::UPGRADE_REQUIRED {
            headers.insert(header::UPGRADE, HeaderValue::from_static(UPGRADE));
        }
        headers
    }

    fn body(&self) -> Bytes {
        match self {
            Self::UpstreamRejected { status, body } => foreign::body(*status, body),
            _ => Bytes::from(self.to_event().to_json()),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.to_response().map(axum::body::Body::from)
    }
}

impl Error {
    pub(super) fn to_response(&self) -> http::Response<Bytes> {
        let row = self.row();
        let mut response = http::Response::new(self.body());
        *response.status_mut() = row.status;
        *response.headers_mut() = self.headers(row);
        // For the request's log line and its metric.
        response.extensions_mut().insert(row);
        response
    }
}

// === impl Row ===

impl Row {
    /// The answer came while the request's body was being read.
    pub(super) fn leaves_body(&self) -> bool {
        matches!(
            self.code,
            Some("request_too_large" | "request_timeout" | "overloaded" | "hello_too_large")
        )
    }
}

// === impl Credentials ===

impl Credentials {
    fn message(self) -> &'static str {
        match self {
            Self::Missing => {
                "You didn't provide an API key. Send it in an Authorization header: \
                 Authorization: Bearer YOUR_KEY."
            }
            Self::Malformed => {
                "The Authorization header is not of the form: Authorization: Bearer YOUR_KEY."
            }
            Self::Unknown => "Incorrect API key provided.",
        }
    }
}

// === impl Phase ===

impl Phase {
    fn message(self) -> &'static str {
        match self {
            Self::Connect => "No provider could be connected to in time.",
            Self::Head => "No provider began to answer in time.",
            Self::FirstContent => "No provider produced content in time.",
            Self::Stall => "The provider stopped in the middle of the answer.",
            Self::Request => "The request took longer than its limit.",
        }
    }
}

fn refused(refusal: &Refusal) -> Row {
    let status = refusal.status();
    let (kind, outcome) = match status {
        StatusCode::BAD_REQUEST => (INVALID, Outcome::InvalidRequest),
        StatusCode::PAYLOAD_TOO_LARGE => (INVALID, Outcome::TooLarge),
        StatusCode::UNAUTHORIZED => (INVALID, Outcome::Unauthorized),
        StatusCode::SERVICE_UNAVAILABLE => ("service_unavailable_error", Outcome::RateLimited),
        _ => ("permission_error", Outcome::Forbidden),
    };
    let (code, retry) = (Some(refusal.code()), refusal.retry_after().is_some());
    Row { status, kind, code, retry, origin: Origin::Client, outcome }
}

/// A caller's text, short enough to be quoted.
fn shown(text: &str) -> &str {
    let mut end = text.len().min(SHOWN_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
