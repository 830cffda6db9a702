//! A late answer is raced by another provider's: one wins, the other is cancelled and knows it.

use serde_json::{Value, json};
use std::time::Duration;

use crate::harness::{chat, ordered, stream, until};
use crate::net::{Market, market};

const ORDER: [&str; 2] = ["p0", "p1"];

/// Both kinds of request, asked of `p0` first.
fn kinds() -> [Value; 2] {
    [chat(json!({})), stream(json!({}))].map(|body| ordered(body, &ORDER))
}

/// Known providers, and credit for hedges.
async fn raced(scripts: &[Value]) -> Market {
    let market = market("", scripts);
    market.gateway.warm_up(40).await;
    market
}

/// What was asked and cancelled since.
struct Since(Vec<u64>, Vec<u64>);

impl Since {
    fn now(market: &Market) -> Self {
        Self(market.asked(), market.cancelled())
    }

    fn asked(&self, market: &Market) -> Vec<u64> {
        market.asked().iter().zip(&self.0).map(|(now, then)| now - then).collect()
    }

    fn cancelled(&self, market: &Market) -> Vec<u64> {
        market.cancelled().iter().zip(&self.1).map(|(now, then)| now - then).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn the_second_wins_and_the_first_is_cancelled() {
    for body in kinds() {
        let scripts = [json!({"ttft_ms": 20_000, "text": "late"}), json!({"text": "swift"})];
        let market = raced(&scripts).await;
        let since = Since::now(&market);
        let answer = market.gateway.ask(&body).await;
        assert!(answer.is_complete(), "{}", answer.text());
        assert_eq!(answer.content(), "swift");
        assert_eq!(answer.header("x-quorate-provider"), "p1");
        assert_eq!(answer.header("x-quorate-attempts"), "2");
        assert!(answer.took < Duration::from_secs(8), "it was waited for: {:?}", answer.took);
        until("the loser is cancelled", || since.cancelled(&market) == [1, 0]).await;
        assert_eq!(since.asked(&market), [1, 1]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_wins_and_the_second_is_cancelled() {
    for body in kinds() {
        let scripts = [json!({"ttft_ms": 4_000, "text": "first"}), json!({"ttft_ms": 60_000})];
        let market = raced(&scripts).await;
        let since = Since::now(&market);
        let answer = market.gateway.ask(&body).await;
        assert!(answer.is_complete(), "{}", answer.text());
        assert_eq!(answer.content(), "first");
        assert_eq!(answer.header("x-quorate-provider"), "p0");
        until("the hedge is cancelled", || since.cancelled(&market) == [0, 1]).await;
        assert_eq!(since.asked(&market), [1, 1]);
    }
}

#[tokio::test(start_paused = true)]
async fn when_both_fail_the_client_is_told_once() {
    for body in kinds() {
        let failing = |ms| json!({"head_ms": ms, "status": 500});
        let market = raced(&[failing(4_000), failing(4_200)]).await;
        let since = Since::now(&market);
        let answer = market.gateway.ask(&body).await;
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "provider_error");
        let asked: u64 = since.asked(&market).iter().sum();
        assert!((2..=3).contains(&asked), "{asked} attempts");
        assert_eq!(since.cancelled(&market), [0, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_fails_leaves_the_first_alone() {
    for body in kinds() {
        let market =
            raced(&[json!({"ttft_ms": 4_000, "text": "first"}), json!({"status": 500})]).await;
        let since = Since::now(&market);
        let answer = market.gateway.ask(&body).await;
        assert!(answer.is_complete(), "{}", answer.text());
        assert_eq!(answer.content(), "first");
        assert_eq!(since.cancelled(&market), [0, 0]);
        assert_eq!(since.asked(&market)[0], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_in_the_race_cancels_both() {
    for body in kinds() {
        let market = raced(&[json!({"ttft_ms": 60_000}), json!({"ttft_ms": 60_000})]).await;
        let since = Since::now(&market);
        let gateway = market.gateway.clone();
        let client = tokio::task::spawn(async move { gateway.ask(&body).await });
        until("both are asked", || since.asked(&market) == [1, 1]).await;
        client.abort();
        until("both are cancelled", || since.cancelled(&market) == [1, 1]).await;
        assert_eq!(since.asked(&market), [1, 1]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_starts_the_next_at_once() {
    for body in kinds() {
        let market = raced(&[json!({"status": 500}), json!({"ttft_ms": 100, "text": "b"})]).await;
        let answer = market.gateway.ask(&body).await;
        assert_eq!(answer.content(), "b");
        assert!(answer.took < Duration::from_millis(150), "{:?}", answer.took);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_is_refused_leaves_the_first_alone() {
    for body in kinds() {
        let market =
            raced(&[json!({"ttft_ms": 4_000, "text": "first"}), json!({"status": 400})]).await;
        let since = Since::now(&market);
        let answer = market.gateway.ask(&body).await;
        assert!(answer.is_complete(), "{}: {}", answer.status, answer.text());
        assert_eq!(answer.content(), "first");
        assert_eq!(since.cancelled(&market), [0, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_the_answer_where_nobody_else_is_under_way() {
    for body in kinds() {
        // The first is late and then fails; what the second said is told.
        let late = json!({"head_ms": 4_000, "status": 500});
        let market = raced(&[late, json!({"status": 400}), json!({})]).await;
        let since = Since::now(&market);
        let answer = market.gateway.ask(&body).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert_eq!(since.asked(&market)[2], 0);
    }
}
