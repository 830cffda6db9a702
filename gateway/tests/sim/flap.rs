//! Providers that are gone for a while: little is asked of them meanwhile, and all is well after.

use serde_json::json;
use std::time::Duration;

use crate::harness::{seed, stream};
use crate::load::poisson;
use crate::net::market;

/// The breaker's first pause; equal jitter takes at most half of it away.
const BACK_OFF: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn a_dead_provider_is_probed_once_a_back_off() {
    let market = market("", &[json!({"ttft_ms": 100}), json!({"ttft_ms": 100})]);
    market.gateway.warm_up(40).await;
    market.net.down("p0");
    let before = market.net.dials("p0").len();
    seed(3);
    let body = stream(json!({}));
    let outcomes = poisson(&market.gateway, &body, Duration::from_millis(100), 3_000).await;
    assert!(outcomes.iter().all(|outcome| outcome.answer.is_complete()));
    let dials = &market.net.dials("p0")[before..];
    println!("{} dials of a dead provider in {:?}", dials.len(), outcomes.last().map(|o| o.at));
    // It takes failures to know; from then on one probe for each pause, and pauses double.
    let open = dials.len().min(5);
    for pair in dials[open.saturating_sub(1)..].windows(2) {
        let pause = pair[1] - pair[0];
        assert!(pause >= BACK_OFF / 2, "{pause:?} between two probes: {dials:?}");
    }
    assert!(dials.len() <= 5 + 8, "{} dials in five minutes", dials.len());
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_flaps_for_a_minute_recovers() {
    let flap = json!({"up_ms": 3_000, "down_ms": 2_000, "for_ms": 60_000});
    let primary = json!({"ttft_ms": 100, "flap": flap});
    let market = market("", &[primary, json!({"ttft_ms": 300})]);
    seed(5);
    let body = stream(json!({}));
    let outcomes = poisson(&market.gateway, &body, Duration::from_millis(100), 600).await;
    let failed = outcomes.iter().filter(|outcome| !outcome.answer.is_complete()).count();
    assert_eq!(failed, 0, "clients saw it flap");
    // It is well now, and its pause is over at the latest after the longest that it can have got.
    tokio::time::sleep(Duration::from_secs(300)).await;
    let before = market.asked()[0];
    let outcomes = poisson(&market.gateway, &body, Duration::from_millis(200), 400).await;
    assert!(outcomes.iter().all(|outcome| outcome.answer.is_complete()));
    let share = market.asked()[0] - before;
    assert!(share >= 100, "the swifter one got {share} of 400 after it recovered");
}

#[tokio::test(start_paused = true)]
async fn all_down_and_up_again() {
    let market = market("", &[json!({"ttft_ms": 100}), json!({"ttft_ms": 100})]);
    market.gateway.warm_up(10).await;
    for name in ["p0", "p1"] {
        market.net.down(name);
    }
    let body = stream(json!({}));
    let down = poisson(&market.gateway, &body, Duration::from_millis(500), 60).await;
    for outcome in &down {
        let status = outcome.answer.status.as_u16();
        assert!([502, 503].contains(&status), "{status}: {}", outcome.answer.text());
    }
    for name in ["p0", "p1"] {
        market.net.up(name);
    }
    // The longest pause that half a minute of failures can have led to.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let up = poisson(&market.gateway, &body, Duration::from_millis(100), 100).await;
    assert!(up.iter().all(|outcome| outcome.answer.is_complete()), "it did not recover");
}

#[tokio::test(start_paused = true)]
async fn who_has_one_attempt_is_not_asked_of_one_that_failed() {
    let scripts = [json!({"ttft_ms": 100}), json!({"ttft_ms": 100})];
    let market = market("[hedging]\nenabled = false\n", &scripts);
    market.gateway.warm_up(10).await;
    market.net.down("p0");
    let body = stream(json!({}));
    let first = crate::harness::ordered(body.clone(), &["p0"]);
    for _ in 0..5 {
        assert!(market.gateway.ask(&first).await.is_complete());
    }
    // Its pause is over; it is down still.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let alone = stream(json!({"provider": {"allow_fallbacks": false}}));
    for _ in 0..3 {
        let answer = market.gateway.ask(&alone).await;
        assert!(answer.is_complete(), "{}", answer.text());
    }
    let before = market.net.dials("p0").len();
    assert!(market.gateway.ask(&body).await.is_complete());
    assert_eq!(market.net.dials("p0").len(), before + 1, "who has more attempts tries it");
}
