//! A provider that stands still in mid-answer.

use serde_json::{Value, json};
use std::time::Duration;

use crate::harness::{chat, ordered, stream, until};
use crate::net::market;

/// Longer than any stall time-out.
fn stalling() -> Value {
    json!({"ttft_ms": 100, "itl_ms": 20, "tokens": 60, "stall_after": 30, "stall_ms": 30_000})
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_an_error_within_the_stall_time_out_where_nobody_can_go_on() {
    let market = market("", &[stalling()]);
    let answer = market.gateway.ask(&stream(json!({}))).await;
    assert!(answer.error().is_some(), "{}", answer.text());
    assert!(!answer.is_done());
    assert!(answer.content().ends_with(" tok29"), "{}", answer.content());
    assert!(answer.took < Duration::from_secs(12), "{:?}", answer.took);
    until("the provider is let go", || market.cancelled() == [1]).await;
    assert_eq!(market.asked(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_is_made_by_another() {
    let market = market("", &[stalling(), json!({"text": "whole"})]);
    let answer = market.gateway.ask(&ordered(chat(json!({})), &["p0", "p1"])).await;
    assert_eq!((answer.status.as_u16(), answer.content().as_str()), (200, "whole"));
    assert!(answer.took < Duration::from_secs(12), "{:?}", answer.took);
    until("the provider is let go", || market.cancelled() == [1, 0]).await;
    assert_eq!(market.asked(), [1, 1]);
}
