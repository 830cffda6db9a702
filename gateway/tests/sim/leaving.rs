//! Clients that leave in the middle of an answer, and what that tells of who gave it.

use serde_json::json;
use std::time::Duration;

use crate::harness::{chat, stream};
use crate::net::market;

/// A first token at once, and the others hardly ever: nobody stays to the end.
#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_waits_for_was_slow() {
    for ask in [stream, chat] {
        let dripping = json!({"ttft_ms": 10, "itl_ms": 1_500, "tokens": 60});
        let steady = json!({"ttft_ms": 300, "itl_ms": 20, "tokens": 60});
        let market = market("", &[dripping, steady]);
        for _ in 0..30 {
            let body = ask(json!({}));
            let answer = market.gateway.ask(&body);
            // The client leaves then, if it is not answered.
            let _left = tokio::time::timeout(Duration::from_secs(8), answer).await;
        }
        let asked = market.asked();
        assert!(asked[0] <= 10, "{asked:?} of 30 went there");
    }
}
