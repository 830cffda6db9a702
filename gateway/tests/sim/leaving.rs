//! Clients that leave in the middle of an answer, and what that tells of who gave it.

use serde_json::json;
use std::time::Duration;

use crate::harness::{chat, ordered, stream};
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

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_makes_no_provider_slow() {
    let quick = json!({"ttft_ms": 100, "itl_ms": 5, "tokens": 2_000});
    let steady = json!({"ttft_ms": 100, "itl_ms": 25, "tokens": 60});
    let market = market("", &[quick, steady]);
    let body = stream(json!({}));
    for name in ["p0", "p1"] {
        assert!(market.gateway.ask(&ordered(body.clone(), &[name])).await.is_complete());
    }
    for _ in 0..10 {
        let body = ordered(body.clone(), &["p0"]);
        let answer = market.gateway.ask_slowly(&body, Duration::from_secs(10)).await;
        assert!(answer.is_complete() && answer.took > Duration::from_secs(100), "{answer:?}");
    }
    let before = market.asked();
    assert!(market.gateway.ask(&body).await.is_complete());
    assert_eq!(market.asked(), [before[0] + 1, before[1]], "it is still the quick one");
}
