//! A provider's own error about the request. In OpenAI's shape its bytes are passed on; any other
//! shape (`{"error": "text"}`, `{"detail": []}`, HTML, nothing) is put into ours. A status that would
//! blame the client for the gateway's credentials never passes.

use bytes::Bytes;
use http::StatusCode;
use openapi::error::ErrorBody;
use serde_json::Value;

use super::{INVALID, Origin, Row};
use crate::metrics::Outcome;

/// A foreign message longer than this is cut, in bytes.
const MESSAGE_MAX: usize = 2048;

/// What some servers in Python print for a member that is not set.
const PYTHON_NULL: &str = "None";

/// The status the client sees.
pub(super) fn status(upstream: StatusCode) -> StatusCode {
    match upstream.as_u16() {
        // The gateway's own credentials or proxies at the provider: not the client's fault.
        401 | 403 | 407 => StatusCode::BAD_GATEWAY,
        // FastAPI's word for a bad request; OpenAI's clients expect 400.
        422 => StatusCode::BAD_REQUEST,
        400..=499 => upstream,
        _ => StatusCode::BAD_GATEWAY,
    }
}

pub(super) fn row(upstream: StatusCode) -> Row {
    let status = status(upstream);
    let (kind, code, outcome) = match status.as_u16() {
        404 => (INVALID, None, Outcome::NotFound),
        413 => (INVALID, None, Outcome::TooLarge),
        429 => ("rate_limit_error", Some("provider_rate_limited"), Outcome::RateLimited),
        502 => ("server_error", Some("provider_error"), Outcome::ProviderError),
        _ => (INVALID, None, Outcome::InvalidRequest),
    };
    Row { status, kind, code, retry: status == 429, origin: Origin::Provider, outcome }
}

/// The body to send: the provider's bytes where they are right already.
pub(super) fn body(upstream: StatusCode, body: &Bytes) -> Bytes {
    if status(upstream) == upstream && serde_json::from_slice(body).is_ok_and(|v| is_ours(&v)) {
        return body.clone();
    }
    Bytes::from(envelope(upstream, body).to_json())
}

/// The message alone, for logs.
pub(super) fn message(upstream: StatusCode, body: &Bytes) -> String {
    envelope(upstream, body).error.message
}

/// OpenAI's envelope, with what can be read from the foreign one.
pub(super) fn envelope(upstream: StatusCode, body: &Bytes) -> ErrorBody {
    let row = row(upstream);
    if row.status == StatusCode::BAD_GATEWAY {
        // Its text is about the gateway's account there, or not meant for clients.
        let message = format!("The provider refused the gateway's request with status {upstream}.");
        return ErrorBody::new(row.kind, message, None, row.code);
    }
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let object = value.get("error").filter(|error| error.is_object()).unwrap_or(&value);
    let text = |member: &str| {
        let text = object.get(member)?.as_str()?;
        (text != PYTHON_NULL).then(|| text.to_owned())
    };
    let message = text("message")
        .or_else(|| value.get("error").and_then(Value::as_str).map(str::to_owned))
        .or_else(|| value.get("detail").and_then(detail))
        .filter(|message| !message.trim().is_empty())
        .unwrap_or_else(|| format!("The provider refused the request with status {upstream}."));
    let code = text("code");
    ErrorBody::new(
        text("type").unwrap_or_else(|| row.kind.to_owned()),
        cut(message),
        text("param"),
        code.as_deref().or(row.code),
    )
}

/// FastAPI: a text, or a list of `{loc, msg}`.
fn detail(detail: &Value) -> Option<String> {
    match detail {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let lines: Vec<String> = items
                .iter()
                .filter_map(|item| {
                    let message = item.get("msg")?.as_str()?;
                    let place: Vec<String> = item
                        .get("loc")
                        .and_then(Value::as_array)
                        .into_iter()
                        .flatten()
                        .map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned))
                        .filter(|part| part != "body")
                        .collect();
                    Some(if place.is_empty() {
                        message.to_owned()
                    } else {
                        format!("{}: {message}", place.join("."))
                    })
                })
                .collect();
            Some(lines.join("; "))
        }
        _ => None,
    }
}

/// All four members, of the right types.
fn is_ours(value: &Value) -> bool {
    let Some(error) = value.get("error").and_then(Value::as_object) else { return false };
    let nullable = |name: &str| {
        error.get(name).is_some_and(|v| v.is_null() || v.as_str().is_some_and(|v| v != PYTHON_NULL))
    };
    let message = error.get("message").and_then(Value::as_str);
    message.is_some_and(|message| !message.trim().is_empty())
        && error.get("type").is_some_and(Value::is_string)
        && nullable("param")
        && nullable("code")
}

fn cut(mut message: String) -> String {
    if message.len() > MESSAGE_MAX {
        let mut end = MESSAGE_MAX;
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(status: u16, body: &str) -> String {
        let status = StatusCode::from_u16(status).expect("a status");
        let bytes = super::body(status, &Bytes::copy_from_slice(body.as_bytes()));
        String::from_utf8(bytes.to_vec()).expect("text")
    }

    #[test]
    fn openai_shape_passes_byte_for_byte() {
        let body = "{ \"error\": {\"message\":\"too long\",\"type\":\"invalid_request_error\",\
                    \"param\":\"messages\",\"code\":\"context_length_exceeded\"}, \"x\":1e3 }";
        assert_eq!(sent(400, body), body);
    }

    #[test]
    fn other_shapes_become_ours() {
        for (body, message) in [
            (r#"{"error":"model is busy"}"#, "model is busy"),
            (r#"{"error":{"message":"m","code":400}}"#, "m"),
            (
                r#"{"error":{"message":" ","type":"x","param":null,"code":null}}"#,
                "The provider refused the request with status 400 Bad Request.",
            ),
            (r#"{"message":"flat","object":"error"}"#, "flat"),
            (r#"{"detail":"nope"}"#, "nope"),
            (r#"{"detail":[{"loc":["body","messages",0],"msg":"bad"}]}"#, "messages.0: bad"),
            (r#"{"error":{"message":"m2","type":"t","param":"None","code":"None"}}"#, "m2"),
            ("<html>400</html>", "The provider refused the request with status 400 Bad Request."),
            ("", "The provider refused the request with status 400 Bad Request."),
        ] {
            let sent: Value = serde_json::from_str(&sent(400, body)).expect("JSON");
            assert!(is_ours(&sent), "{sent}");
            assert_eq!(sent["error"]["message"], message, "{body}");
            assert!(!sent.to_string().contains("\"None\""), "{sent}");
        }
    }

    #[test]
    fn our_credentials_are_never_the_clients_fault() {
        for code in [401, 403, 407, 500, 302] {
            let upstream = StatusCode::from_u16(code).expect("a status");
            assert_eq!(row(upstream).status, StatusCode::BAD_GATEWAY);
            let sent = sent(code, r#"{"error":{"message":"Incorrect API key sk-live-1"}}"#);
            assert!(!sent.contains("sk-live"), "{sent}");
        }
        assert_eq!(status(StatusCode::UNPROCESSABLE_ENTITY), StatusCode::BAD_REQUEST);
    }
}
