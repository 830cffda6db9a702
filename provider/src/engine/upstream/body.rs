//! Bytes on their way through: the request's model name spliced, the answer's headers filtered, its
//! body watched for silence.

use crate::engine::Error;
use crate::engine::tally::Tally;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use http::{HeaderMap, HeaderName, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;

/// Response headers that may pass; all others speak of a connection or a server that isn't ours.
const PASSING: [HeaderName; 4] =
    [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::RETRY_AFTER, header::CACHE_CONTROL];
const PASSING_NAMES: [&str; 2] = ["retry-after-ms", "x-should-retry"];

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    model: &'a RawValue,
}

/// The body with this model name, every other byte as it was. The same bytes where nothing differs.
pub(super) fn with_model(body: &Bytes, model: &str) -> Result<Bytes, Error> {
    let invalid = |error: serde_json::Error| Error::Invalid {
        message: error.to_string(),
        param: None,
        code: None,
    };
    let text = std::str::from_utf8(body).map_err(|error| Error::Internal(error.to_string()))?;
    let head: Head<'_> = serde_json::from_str(text).map_err(invalid)?;
    let old = head.model.get();
    let new = serde_json::to_string(model).map_err(invalid)?;
    if old == new {
        return Ok(body.clone());
    }
    // `old` is a slice of `text`, so its place is the difference of the addresses.
    let start = old.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    let (Some(before), Some(after)) = (text.get(..start), text.get(start + old.len()..)) else {
        return Err(Error::Internal("the model's name was not found in the request".to_owned()));
    };
    let mut out = BytesMut::with_capacity(before.len() + new.len() + after.len());
    for piece in [before, &new, after] {
        out.extend_from_slice(piece.as_bytes());
    }
    Ok(out.freeze())
}

pub(super) fn passing(headers: &HeaderMap) -> HeaderMap {
    let may_pass =
        |name: &HeaderName| PASSING.contains(name) || PASSING_NAMES.contains(&name.as_str());
    headers
        .iter()
        .filter(|(name, _)| may_pass(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The body's bytes as they come. Dropping it drops the connection to the foreign server.
pub(super) fn relayed(
    incoming: Incoming,
    idle: Duration,
    tally: Tally,
) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
    stream::unfold(Some((incoming, tally)), move |state| async move {
        let (mut incoming, mut tally) = state?;
        loop {
            let frame = tokio::time::timeout(idle, incoming.frame()).await;
            let failed = match frame {
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => return Some((Ok(data), Some((incoming, tally)))),
                    // Trailers are not passed on.
                    Err(_) => continue,
                },
                Ok(None) => {
                    tally.finish();
                    return None;
                }
                Ok(Some(Err(error))) => error.to_string(),
                Err(_) => format!("silent for {} s", idle.as_secs()),
            };
            tally.fail();
            return Some((Err(Error::Unavailable(format!("the fronted server: {failed}"))), None));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_models_name_changes() {
        let body = Bytes::from_static(
            b"{ \"x\":{\"model\":\"no\"}, \"model\" : \"m\\u0061\" ,\"n\":1.50, \"y\":1e400}",
        );
        // 1e400 is no f64, but a number all the same.
        let out = with_model(&body, "Qwen/\"q\"").unwrap();
        assert_eq!(
            out,
            "{ \"x\":{\"model\":\"no\"}, \"model\" : \"Qwen/\\\"q\\\"\" ,\"n\":1.50, \"y\":1e400}"
        );
    }

    #[test]
    fn the_same_name_gives_the_same_bytes() {
        let body = Bytes::from_static(b"{\"model\":\"m\"}");
        let out = with_model(&body, "m").unwrap();
        assert_eq!(out.as_ptr(), body.as_ptr());
    }

    #[test]
    fn connection_headers_stay_here() {
        let mut headers = HeaderMap::new();
        for name in ["content-type", "set-cookie", "connection", "server", "retry-after-ms"] {
            headers.insert(name, http::HeaderValue::from_static("x"));
        }
        let passed = passing(&headers);
        assert_eq!(passed.len(), 2);
        assert!(passed.contains_key("content-type") && passed.contains_key("retry-after-ms"));
    }
}
