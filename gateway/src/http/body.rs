//! Reads a request's body whole, within its limits, which hold for what it was before it was encoded.
//! It looks at nothing in it.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use std::io;
use tokio::time::{Instant, timeout_at};

use super::encoding::{self, TooLong};
use super::error::Error;
use crate::app::App;
use crate::config::Limits;

/// Taken at first for a body in several pieces, whatever length it claims.
const START_BYTES_MAX: u64 = 256 * 1024;

/// The body of a JSON request: plain, or inflated. It counts among the bodies held until the last
/// holder lets go of it.
///
/// # Errors
/// Another content type, an encoding nobody knows, no room for it, and those of [`read`].
pub(super) async fn json(app: &App, headers: &HeaderMap, body: Body) -> Result<Bytes, Error> {
    require_json(headers)?;
    let limits = &app.settings.limits;
    if body.size_hint().lower() > limits.body_bytes {
        return Err(Error::TooLarge { limit_bytes: limits.body_bytes });
    }
    let body = match encoding::coding(headers)? {
        None => body,
        Some(coding) => encoding::inflate(body, coding, limits.body_bytes),
    };
    let mut share = app.bodies.share();
    let bytes = collect(body, limits, |len| share.grow_to(len)).await?;
    Ok(share.hold(bytes))
}

/// The whole body. A single piece is handed on as it is.
///
/// # Errors
/// Longer than the limit (at once, when its length is announced), standing still, not ending within a
/// request's time, broken, or the client left.
pub async fn read(body: Body, limits: &Limits) -> Result<Bytes, Error> {
    collect(body, limits, |_| Ok(())).await
}

/// Asks `room` for leave to hold so many bytes before it does.
async fn collect(
    mut body: Body,
    limits: &Limits,
    mut room: impl FnMut(u64) -> Result<(), Error>,
) -> Result<Bytes, Error> {
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
            Ok(Some(frame)) => frame.map_err(|error| broken(&error, limits))?,
        };
        // Trailers are not for us.
        let Ok(data) = frame.into_data() else { continue };
        len = len.saturating_add(data.len() as u64);
        if len > limit_bytes {
            return Err(Error::TooLarge { limit_bytes });
        }
        room(len)?;
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

/// Refuses what is not JSON. A request without a content type is taken to be.
///
/// # Errors
/// Another content type.
pub fn require_json(headers: &HeaderMap) -> Result<(), Error> {
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

/// A body ends early because the client left, or because its framing or its encoding is wrong.
fn broken(error: &axum::Error, limits: &Limits) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut message = "The request body could not be read to its end.";
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
                return Error::ClientGone;
            }
            break;
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            if error.get_ref().is_some_and(|inner| inner.is::<TooLong>()) {
                return Error::TooLarge { limit_bytes: limits.body_bytes };
            }
            message = "The request body could not be read to its end, or is not encoded as \
                       Content-Encoding says.";
        }
        cause = error.source();
    }
    Error::InvalidRequest { message: message.to_owned(), param: None, code: None }
}
