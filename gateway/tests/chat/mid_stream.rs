//! After the first content: a stream that can't be finished says so, and never ends quietly.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::harness::{chat, content, events, market, market_with, stream, until};

fn last_error(body: &Bytes) -> Value {
    let events = events(body);
    assert!(!events.iter().any(|event| event == "[DONE]"), "{events:?}");
    let last: Value = serde_json::from_str(events.last().expect("an event")).expect("JSON");
    assert!(last["error"]["message"].is_string(), "{last}");
    last["error"].clone()
}

#[tokio::test]
async fn a_broken_stream_ends_with_an_error_event() {
    for (script, code) in [
        // Slow enough for what was sent to arrive before the cut.
        (json!({"cut_after": 5, "itl_ms": 10}), "provider_error"),
        (json!({"error_after": 5}), "provider_error"),
        (json!({"tokens": 5, "no_finish": true, "no_done": true}), "provider_error"),
        (json!({"tokens": 5, "no_finish": true}), "provider_error"),
    ] {
        let market = market(std::slice::from_ref(&script)).await;
        let (status, _, body) = market.ask(&stream(json!({}))).await;
        assert_eq!(status, 200, "{script}");
        assert_eq!(last_error(&body)["code"], code, "{script}");
        let text = String::from_utf8_lossy(&body);
        // The token right before a cut may go down with the connection.
        for i in 0..4 {
            assert!(text.contains(&format!(" tok{i}")), "{script}: {text}");
        }
        assert!(!text.contains("finish_reason\":\"stop"), "{script}: {text}");
    }
}

#[tokio::test]
async fn a_stall_ends_with_an_error_event_and_the_provider_is_told() {
    let script = json!({"tokens": 9, "stall_after": 4, "stall_ms": 60_000});
    let market = market_with("stall_ms = 150", &[script]).await;
    let (_, _, body) = market.ask(&stream(json!({}))).await;
    assert_eq!(last_error(&body)["code"], "timeout");
    market.until(|counters| counters.jobs_cancelled() == 1).await;
}

#[tokio::test]
async fn the_status_line_is_held_for_a_while_then_comments_keep_the_connection() {
    let limits = "hold_ms = 50\nkeep_alive_comment_ms = 100";
    let script = json!({"ttft_ms": 400, "text": "late but good"});
    let market = market_with(limits, &[script]).await;
    let (status, _, body) = market.ask(&stream(json!({}))).await;
    assert_eq!(status, 200);
    assert!(body.starts_with(b": keep-alive\n\n"), "{body:?}");
    let events = events(&body);
    assert_eq!(content(&events), "late but good");
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
}

#[tokio::test]
async fn a_failure_after_the_status_line_is_an_event() {
    let limits = "hold_ms = 50\nkeep_alive_comment_ms = 100\nfirst_content_ms = 300";
    let market = market_with(limits, &[json!({"ttft_ms": 60_000})]).await;
    let (status, _, body) = market.ask(&stream(json!({}))).await;
    assert_eq!(status, 200);
    assert_eq!(last_error(&body)["code"], "timeout");
}

#[tokio::test]
async fn a_silent_stream_is_kept_alive_between_events() {
    let limits = "keep_alive_comment_ms = 100";
    let script = json!({"tokens": 3, "stall_after": 1, "stall_ms": 350});
    let market = market_with(limits, &[script]).await;
    let (_, _, body) = market.ask(&stream(json!({}))).await;
    let text = String::from_utf8_lossy(&body);
    assert!(text.contains("\n\n: keep-alive\n\ndata: "), "{text}");
    assert_eq!(content(&events(&body)), " tok0 tok1 tok2");
}

#[tokio::test]
async fn a_request_has_one_time_limit() {
    let market = market_with("request_ms = 200", &[json!({"ttft_ms": 60_000})]).await;
    for body in [chat(json!({})), stream(json!({}))] {
        let (status, ..) = market.ask(&body).await;
        assert_eq!(status, 504);
    }
}

#[tokio::test]
async fn a_stream_that_never_ends_is_ended_by_the_requests_time_limit() {
    let script = json!({"tokens": 1_000_000, "itl_ms": 10});
    let market = market_with("request_ms = 1000", &[script]).await;
    let (status, _, body) = market.ask(&stream(json!({}))).await;
    assert_eq!(status, 200);
    assert_eq!(last_error(&body)["code"], "timeout");
    market.until(|counters| counters.jobs_cancelled() == 1).await;
}

#[tokio::test]
async fn a_drain_lets_streams_end_and_cuts_them_at_its_deadline() {
    let script = json!({"tokens": 1000, "itl_ms": 50});
    let market = market_with("drain_ms = 200", &[script]).await;
    let mut body = market.send(&stream(json!({}))).await.into_body();
    body.frame().await.expect("a frame").expect("data");
    let gateway = market.gateway;
    let (app, stopped) = (gateway.app.clone(), gateway.stop());
    let (rest, _) = tokio::join!(body.collect(), stopped);
    let rest = rest.expect("the body ends properly").to_bytes();
    assert_eq!(last_error(&rest)["code"], "draining");
    until(|| app.market.snapshot().endpoints()[0].in_flight() == 0).await;
}
