//! One of three providers is 50 times slower than the others: clients hardly see it, and it costs few
//! further attempts.

use serde_json::{Value, json};
use std::time::Duration;

use crate::harness::{seed, stream};
use crate::load::{Outcome, poisson, ttft};
use crate::net::{Market, market};

const REQUESTS: usize = 2_000;

fn script(ttft_ms: u64) -> Value {
    json!({"ttft_ms": ttft_ms, "ttft_spread": 1.5, "itl_ms": 10, "tokens": 20})
}

async fn load(scripts: &[Value]) -> (Market, Vec<Outcome>) {
    let market = market("", scripts);
    seed(7);
    let body = stream(json!({}));
    let outcomes = poisson(&market.gateway, &body, Duration::from_millis(150), REQUESTS).await;
    for outcome in &outcomes {
        assert!(outcome.answer.is_complete(), "{}", outcome.answer.text());
    }
    (market, outcomes)
}

#[tokio::test(start_paused = true)]
async fn is_hardly_noticed() {
    let (_, pair) = load(&[script(200), script(200)]).await;
    let (market, trio) = load(&[script(200), script(200), script(10_000)]).await;
    let (without, with) = (ttft(&pair, 99), ttft(&trio, 99));
    let attempts: u64 = market.asked().iter().sum();
    let asked = market.asked();
    println!("p99 TTFT: pair {without:?}, with a slow third {with:?}; asked {asked:?}");
    assert!(with <= without * 2, "p99 TTFT {with:?} against {without:?}; asked {asked:?}");
    let extra = attempts - REQUESTS as u64;
    assert!(extra * 10 <= REQUESTS as u64, "{extra} extra attempts of {REQUESTS}: {asked:?}");
}

#[tokio::test(start_paused = true)]
async fn for_a_minute_and_the_swiftest_is_asked_again() {
    let episode =
        json!({"up_ms": 10_000, "down_ms": 60_000, "for_ms": 70_000, "down": {"ttft_ms": 10_000}});
    let mut primary = script(100);
    primary["flap"] = episode;
    let market = market("", &[primary, script(400)]);
    seed(8);
    let body = stream(json!({}));
    let every = Duration::from_millis(250);
    poisson(&market.gateway, &body, every, 280).await;
    // It is the swiftest again; nobody knows before somebody asks.
    poisson(&market.gateway, &body, every, 1_200).await;
    let before = market.asked();
    poisson(&market.gateway, &body, every, 200).await;
    let share = market.asked()[0] - before[0];
    println!("{share} of 200 after it recovered");
    assert!(share >= 150, "{share} of 200 five minutes after it recovered");
}
