//! Twice what the providers can bear, for a minute: what they can bear is still served, the rest is
//! sent away with a word on when to come back that holds, and half a minute later all is as before.

use serde_json::json;
use std::time::Duration;

use crate::harness::{seed, stream};
use crate::load::{Outcome, poisson, ttft};
use crate::net::{Market, market_of};

/// Answers at once, of each provider and of all.
const SLOTS: u32 = 4;
const ALL_SLOTS: u32 = 2 * SLOTS;
/// Of one answer: 220 ms to the first token, 39 more at 20 ms.
const SERVICE: Duration = Duration::from_secs(1);
/// Of the overload.
const SECONDS: u32 = 60;

fn market() -> Market {
    let script = json!({"ttft_ms": 220, "itl_ms": 20, "tokens": 40});
    market_of("", &[script.clone(), script], SLOTS as usize)
}

/// Between arrivals, at that share of the capacity.
fn every(load: f64) -> Duration {
    SERVICE.div_f64(f64::from(ALL_SLOTS) * load)
}

fn served(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| outcome.answer.is_complete()).count()
}

#[tokio::test(start_paused = true)]
async fn is_borne() {
    let market = market();
    seed(11);
    let body = stream(json!({}));
    let gateway = &market.gateway;
    // Learned: what each can bear.
    let before = poisson(gateway, &body, every(0.6), 600).await;
    let normal = ttft(&before, 99);
    let capacity = (SECONDS * ALL_SLOTS) as usize;
    let requests = 2 * capacity;
    let during = poisson(gateway, &body, every(2.0), requests).await;
    let good = served(&during);
    println!("goodput {good} of {capacity}; {requests} asked");
    assert!(good * 10 >= capacity * 8, "goodput {good} of {capacity}");
    for shed in during.iter().filter(|outcome| !outcome.answer.is_complete()) {
        let answer = &shed.answer;
        assert_eq!(answer.status, 429, "{}", answer.text());
        let after: u64 = answer.header("retry-after").parse().expect("seconds");
        assert!((1..=60).contains(&after), "come back in {after} s");
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    let after = poisson(gateway, &body, every(0.6), 600).await;
    assert_eq!(served(&after), 600, "not normal after half a minute");
    let now = ttft(&after, 99);
    assert!(now <= normal * 2, "p99 TTFT {now:?} after, {normal:?} before");
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_when_told_is_served() {
    let market = market();
    seed(12);
    let body = stream(json!({}));
    let gateway = &market.gateway;
    poisson(gateway, &body, every(0.6), 300).await;
    // A burst, and then no more than the usual.
    let over = every(4.0);
    let burst = poisson(gateway, &body, over, 400).await;
    let longest = burst.iter().filter_map(|outcome| {
        outcome.answer.header("retry-after").parse::<u64>().ok().map(Duration::from_secs)
    });
    let longest = longest.max().expect("somebody was sent away");
    tokio::time::sleep(longest).await;
    for _ in 0..8 {
        let answer = gateway.ask(&body).await;
        assert!(answer.is_complete(), "{}: {}", answer.status, answer.text());
    }
}
