//! Foreign error bodies: whatever a provider answers with, the client gets OpenAI's envelope with all
//! four keys of the right types, bounded, and never a status that blames it for our credentials.
#![no_main]

use axum::response::IntoResponse as _;
use bytes::Bytes;
use futures_util::FutureExt as _;
use gateway::http::error::Error;
use http::StatusCode;
use http_body_util::BodyExt as _;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Of an envelope that was made here, escapes included.
const BYTES_MAX: usize = 32 * 1024;

fuzz_target!(|data: &[u8]| {
    let Some((status, body)) = data.split_first_chunk::<2>() else { return };
    let Ok(status) = StatusCode::from_u16(300 + u16::from_le_bytes(*status) % 300) else { return };
    let body = Bytes::copy_from_slice(body);
    let error = Error::UpstreamRejected { status, body: body.clone() };
    let event = error.to_event().to_json();
    let response = error.into_response();
    let sent = response.status();
    assert!(sent.is_client_error() || sent == StatusCode::BAD_GATEWAY, "{status} became {sent}");
    assert!(!matches!(sent.as_u16(), 401 | 403 | 407 | 422), "{sent}");
    assert_eq!(response.headers()["content-type"], "application/json");
    let whole = response.into_body().collect().now_or_never().expect("ready").expect("a body");
    let whole = whole.to_bytes();
    assert!(whole == body || whole.len() <= BYTES_MAX, "{} bytes", whole.len());
    assert!(event.len() <= BYTES_MAX, "{} bytes", event.len());
    for text in [&whole[..], event.as_bytes()] {
        let value: Value = serde_json::from_slice(text).expect("JSON");
        let error = value["error"].as_object().expect("an envelope");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
        assert!(error["type"].is_string());
        for name in ["param", "code"] {
            assert!(error[name].is_string() || error[name].is_null(), "{name}");
        }
    }
});
