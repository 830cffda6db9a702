//! Streams at once: each holds its place until its body is over, whoever ends it.

use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Market, chat, market, read, stream, until};

/// A market whose provider plays `script`, with one stream open in it.
async fn taken(script: Value) -> (Market, http::Response<hyper::body::Incoming>) {
    let market = market("concurrent_streams = 1", script).await;
    let open = market.send(&stream(json!({}))).await;
    (market, open)
}

async fn free(market: &Market) {
    until(|| market.state().open_streams == 0).await;
    let quick = stream(json!({"script": {"tokens": 1, "itl_ms": 0, "stall_after": null}}));
    let answer = market.ask(&quick).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}

#[tokio::test]
async fn one_too_many_is_refused_and_whole_answers_need_no_place() {
    let (market, open) = taken(json!({"tokens": 100_000, "itl_ms": 5})).await;
    assert_eq!(market.state().open_streams, 1);
    let answer = market.ask(&stream(json!({}))).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.code(), "rate_limit_exceeded");
    assert_eq!((answer.header("retry-after"), answer.header("x-should-retry")), ("1", "true"));
    let whole = market.ask(&chat(json!({"script": {"tokens": 1}}))).await;
    assert_eq!(whole.status, StatusCode::OK);
    drop(open);
    free(&market).await;
}

#[tokio::test]
async fn the_end_of_a_stream_frees_its_place() {
    let (market, open) = taken(json!({"tokens": 5})).await;
    assert!(read(open).await.body.ends_with(b"data: [DONE]\n\n"));
    free(&market).await;
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_place() {
    let (market, open) = taken(json!({"tokens": 100_000, "itl_ms": 5})).await;
    drop(open);
    free(&market).await;
    let market = crate::harness::market("concurrent_streams = 1", json!({"ttft_ms": 60_000})).await;
    market.leave(stream(json!({}))).await;
    until(|| market.state().open_streams == 0).await;
}

#[tokio::test]
async fn a_failure_frees_its_place() {
    let (market, open) = taken(json!({"tokens": 100, "error_after": 10})).await;
    read(open).await;
    until(|| market.state().open_streams == 0).await;
    let market = crate::harness::market("concurrent_streams = 1", json!({"status": 500})).await;
    for _ in 0..3 {
        assert_eq!(market.ask(&stream(json!({}))).await.status, StatusCode::BAD_GATEWAY);
        until(|| market.state().open_streams == 0).await;
    }
}

#[tokio::test]
async fn a_key_that_sets_no_limit_has_the_gateways() {
    let script = json!({"tokens": 100_000, "itl_ms": 5});
    let market = market("[limits]\nkey_streams = 2", script).await;
    let first = market.send(&stream(json!({}))).await;
    let second = market.send(&stream(json!({}))).await;
    let third = market.send(&stream(json!({}))).await;
    assert_eq!((first.status(), second.status()), (StatusCode::OK, StatusCode::OK));
    assert_eq!(third.status(), StatusCode::TOO_MANY_REQUESTS);
}
