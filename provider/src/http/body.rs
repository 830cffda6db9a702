//! Reads a request body: bounded in size, in silence, and to what we understand.

use super::Limits;
use super::error::Error;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A body with its room, which is free again when the last part of it is dropped.
struct Held {
    bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The whole body. Refused from its headers where they say enough, before a byte is read.
pub(super) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    limits: &Limits,
    bodies: &Arc<Semaphore>,
) -> Result<Bytes, Error> {
    check_headers(headers, limits)?;
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut room: Option<OwnedSemaphorePermit> = None;
    loop {
        let frame = tokio::time::timeout(limits.body_idle, body.frame())
            .await
            .map_err(|_| Error::BodyTimeout)?;
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(|_| Error::BodyCut)?.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limits.body_bytes {
            return Err(Error::TooLarge { limit_bytes: limits.body_bytes });
        }
        let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let more = Arc::clone(bodies).try_acquire_many_owned(bytes).map_err(|_| {
            Error::Unavailable("Too many bytes of request bodies are held at once.".to_owned())
        })?;
        match &mut room {
            Some(room) => room.merge(more),
            None => room = Some(more),
        }
        // Most bodies come in one piece and are never copied.
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&std::mem::take(&mut first));
            rest.extend_from_slice(&data);
        }
    }
    let bytes = if rest.is_empty() { first } else { rest.freeze() };
    Ok(Bytes::from_owner(Held { bytes, _room: room }))
}

fn check_headers(headers: &HeaderMap, limits: &Limits) -> Result<(), Error> {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let announced = text(CONTENT_LENGTH).and_then(|value| value.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits.body_bytes as u64) {
        return Err(Error::TooLarge { limit_bytes: limits.body_bytes });
    }
    if let Some(encoding) = text(CONTENT_ENCODING)
        && !encoding.eq_ignore_ascii_case("identity")
    {
        return Err(Error::MediaType(encoding.to_owned()));
    }
    // No content type at all is taken for JSON. Anything else is refused, so that a form on a
    // web page can't post here.
    if let Some(kind) = text(CONTENT_TYPE) {
        let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if essence != "application/json" && !essence.ends_with("+json") {
            return Err(Error::MediaType(essence));
        }
    }
    Ok(())
}
