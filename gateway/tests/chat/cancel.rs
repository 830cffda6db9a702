//! The client leaves: the provider stops, in every phase, streamed and whole.

use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::harness::{Market, chat, market, market_with, send, stream, until};

/// Sends `body`, waits until the provider has the job, and leaves.
async fn leave(market: &Market, body: Value) {
    let addr = market.gateway.addr;
    let request = tokio::task::spawn(async move { send(addr, &body).await });
    market.until(|counters| counters.jobs_started() > 0).await;
    request.abort();
    let _ = request.await;
}

#[tokio::test]
async fn while_the_head_is_awaited() {
    for body in [chat(json!({})), stream(json!({}))] {
        let market = market(&[json!({"head_ms": 60_000})]).await;
        leave(&market, body).await;
        market.until(|counters| counters.jobs_cancelled() == 1).await;
    }
}

#[tokio::test]
async fn while_the_first_content_is_awaited() {
    for body in [chat(json!({})), stream(json!({}))] {
        let market = market(&[json!({"ttft_ms": 60_000})]).await;
        leave(&market, body).await;
        market.until(|counters| counters.jobs_cancelled() == 1).await;
    }
}

#[tokio::test]
async fn after_the_status_line_and_before_the_first_content() {
    let limits = "hold_ms = 20\nkeep_alive_comment_ms = 100";
    let market = market_with(limits, &[json!({"ttft_ms": 60_000})]).await;
    let mut body = market.send(&stream(json!({}))).await.into_body();
    body.frame().await.expect("a comment").expect("data");
    drop(body);
    market.until(|counters| counters.jobs_cancelled() == 1).await;
}

#[tokio::test]
async fn in_the_middle_of_a_stream() {
    let market = market(&[json!({"tokens": 100_000, "itl_ms": 5})]).await;
    let mut body = market.send(&stream(json!({}))).await.into_body();
    for _ in 0..3 {
        body.frame().await.expect("a frame").expect("data");
    }
    drop(body);
    market.until(|counters| counters.jobs_cancelled() == 1).await;
    let made = market.providers[0].counters.tokens_generated();
    assert!(made < 1000, "{made} tokens were made for nobody");
}

#[tokio::test]
async fn in_the_middle_of_a_whole_answer() {
    let market = market(&[json!({"tokens": 100_000, "itl_ms": 5})]).await;
    leave(&market, chat(json!({}))).await;
    market.until(|counters| counters.jobs_cancelled() == 1).await;
}

#[tokio::test]
async fn every_request_ends_in_exactly_one_record() {
    let market = market(&[json!({"tokens": 100_000, "itl_ms": 5})]).await;
    for _ in 0..5 {
        let mut body = market.send(&stream(json!({}))).await.into_body();
        body.frame().await.expect("a frame").expect("data");
    }
    let line =
        r#"quorate_requests_total{endpoint="chat",status_class="4xx",outcome="client_gone"} 5"#;
    until(|| market.gateway.app.metrics.encode().contains(line)).await;
    until(|| market.gateway.app.market.snapshot().endpoints()[0].in_flight() == 0).await;
    let text = market.gateway.app.metrics.encode();
    assert!(text.contains(r#"quorate_attempts_total{outcome="cancelled"} 5"#), "{text}");
    assert!(text.contains("quorate_open_streams 0"), "{text}");
}
