//! Reads a request's body whole, within its limits. It looks at nothing in it.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

use super::error::Error;
use crate::config::Limits;

/// Taken at first for a body in several pieces, whatever length it claims.
const START_BYTES_MAX: u64 = 256 * 1024;

/// The whole body. A single piece is handed on as it is.
///
/// # Errors
/// Longer than the limit (at once, when its length is announced), standing still, not ending within a
/// request's time, broken, or the client left.
pub async fn read(mut body: Body, limits: &Limits) -> Result<Bytes, Error> {
    let limit_bytes = limits.body_bytes;
    if body.size_hint().lower() > limit_bytes {
        return Err(Error::TooLarge { limit_bytes });
    }
    let end = Instant::now() + limits.request;
    let announced = body.size_hint().lower();
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    let mut len: u64 = 0;
    loop {
        let late = (Instant::now() + limits.body_idle).min(end);
        let frame = match timeout_at(late, body.frame()).await {
            Err(_) => return Err(Error::RequestTimeout { idle: limits.body_idle }),
            Ok(None) => break,
            Ok(Some(frame)) => frame.map_err(|error| broken(&error))?,
        };
        // Trailers are not for us.
        let Ok(data) = frame.into_data() else { continue };
        len = len.saturating_add(data.len() as u64);
        if len > limit_bytes {
            return Err(Error::TooLarge { limit_bytes });
        }
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            let start = announced.min(START_BYTES_MAX).max(len);
            whole.reserve(usize::try_from(start).unwrap_or_default());
            whole.extend_from_slice(&first);
            first = Bytes::new();
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

/// Refuses what is not plain JSON. A request without a content type is taken to be.
///
/// # Errors
/// Another content type, or an encoded body.
pub fn require_json(headers: &HeaderMap) -> Result<(), Error> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let message = format!("Encoded request bodies are not accepted: {}.", shown(encoding));
        return Err(Error::UnsupportedMediaType { message });
    }
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence = kind.to_str().ok().and_then(|kind| kind.split(';').next()).map(str::trim);
    let is_json = essence.is_some_and(|essence| {
        let essence = essence.to_ascii_lowercase();
        essence == "application/json"
            || (essence.starts_with("application/") && essence.ends_with("+json"))
    });
    if is_json {
        return Ok(());
    }
    let message = format!("The content type must be application/json, not {}.", shown(kind));
    Err(Error::UnsupportedMediaType { message })
}

fn shown(value: &HeaderValue) -> String {
    value.to_str().unwrap_or("something unreadable").chars().take(64).collect()
}

/// A body ends early because the client left, or because its framing is wrong.
fn broken(error: &axum::Error) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && (error.is_incomplete_message() || error.is_closed() || error.is_canceled())
        {
            return Error::ClientGone;
        }
        cause = error.source();
    }
    Error::InvalidRequest {
        message: "The request body could not be read to its end.".to_owned(),
        param: None,
        code: None,
    }
}
