//! Requests that wait for room: whom they hold up, and what becomes of those whose clients leave. A
//! provider is full here by its own word: it answers 429 and asks to be left alone for two seconds.

use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinHandle;

use crate::harness::{Answer, ordered, seed, stream, until, well};
use crate::net::{Market, market};

/// Who could be served, and is held up, takes longer.
const AT_ONCE: Duration = Duration::from_millis(200);

/// For `p1` alone.
fn pinned() -> Value {
    let mut body = stream(json!({"script": well()}));
    body["provider"] = json!({"only": ["p1"]});
    body
}

/// `p0` does well, `p1` is full.
async fn half_full(more: &str) -> Market {
    let limited = json!({"sequence": [{"status": 429, "retry_after": "2"}, {}]});
    let market = market(more, &[json!({}), limited]);
    let mut body = pinned();
    body.as_object_mut().expect("an object").remove("script");
    let answer = market.gateway.ask(&body).await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    market
}

/// One that waits, alone.
async fn waiting(market: &Market, body: Value) -> JoinHandle<Answer> {
    let gateway = market.gateway.clone();
    let client = tokio::task::spawn(async move { gateway.ask(&body).await });
    until("it waits", || market.gateway.counts("quorate_queued 1")).await;
    client
}

async fn assert_served_at_once(market: &Market) {
    for _ in 0..3 {
        let answer = market.gateway.ask(&stream(json!({"script": well()}))).await;
        assert!(answer.is_complete(), "{}: {}", answer.status, answer.text());
        assert!(answer.took < AT_ONCE, "held up for {:?}", answer.took);
        assert_eq!(answer.header("x-quorate-provider"), "p0");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_one_provider_holds_up_nobody() {
    // Also where there is no more room in the queue.
    for limits in ["", "[limits]\nqueued = 1"] {
        let market = half_full(limits).await;
        let waits = waiting(&market, pinned()).await;
        assert_served_at_once(&market).await;
        let answer = waits.await.expect("ends");
        assert!(answer.is_complete(), "{}: {}", answer.status, answer.text());
        assert!(answer.took > Duration::from_secs(1), "{:?}", answer.took);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_failed_and_waits_for_another_provider_holds_up_nobody() {
    let market = half_full("").await;
    let failing = ordered(stream(json!({"script": {"status": 500}})), &["p0"]);
    let waits = waiting(&market, failing).await;
    assert_served_at_once(&market).await;
    assert_eq!(waits.await.expect("ends").status, 502);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_queue_is_sent_nowhere() {
    let market = half_full("").await;
    let waits = waiting(&market, pinned()).await;
    let before = market.asked();
    waits.abort();
    until("nobody waits", || market.gateway.counts("quorate_queued 0")).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(market.asked(), before);
    let answer = market.gateway.ask(&pinned()).await;
    assert!(answer.is_complete() && answer.took < AT_ONCE, "{:?}", answer.took);
}

/// Another model is free: nobody waits for the first until the time is over.
#[tokio::test(start_paused = true)]
async fn where_the_first_model_is_full_the_next_has_its_turn() {
    let other = "[[model]]\nid = \"acme/other:1\"\n[[upstream]]\nid = \"other\"\n\
                 operator = \"other\"\nallow_private = true\nbase_url = \"http://p0:8080/v1\"\n\
                 models = [{ id = \"acme/other:1\", upstream_model = \"acme/test:1\" }]\n";
    let limited = json!({"sequence": [{"status": 429, "retry_after": "2"}, {}]});
    let market = market(other, &[limited]);
    assert_eq!(market.gateway.ask(&stream(json!({}))).await.status, 429);
    let mut body = stream(json!({"script": well()}));
    body["models"] = json!(["acme/test:1", "acme/other:1"]);
    body.as_object_mut().expect("an object").remove("model");
    for patience in [None, Some(Duration::from_secs(1))] {
        let answer = market.gateway.ask_within(&body, patience).await;
        assert!(answer.is_complete(), "{}: {}", answer.status, answer.text());
        assert!(answer.took < AT_ONCE, "{:?}", answer.took);
        assert_eq!(answer.header("x-quorate-provider"), "other");
    }
    // Where no other is free either, it is waited for.
    body["models"] = json!(["acme/test:1", "acme/test:1"]);
    let answer = market.gateway.ask(&body).await;
    assert!(answer.is_complete(), "{}: {}", answer.status, answer.text());
    assert_eq!(answer.header("x-quorate-provider"), "p0");
}

/// Who names a short time is not served before who has waited for longer.
#[tokio::test(start_paused = true)]
async fn who_is_in_a_hurry_overtakes_nobody_who_came_long_before() {
    let market = half_full("").await;
    let waits = waiting(&market, pinned()).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let gateway = market.gateway.clone();
    let mut hasty = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let gateway = gateway.clone();
        hasty.spawn(async move {
            gateway.ask_within(&pinned(), Some(Duration::from_secs(9))).await.took
        });
    }
    until("they wait", || gateway.counts("quorate_queued 21")).await;
    let first = waits.await.expect("ends").took - Duration::from_millis(1_500);
    for took in hasty.join_all().await {
        let slack = Duration::from_millis(50);
        assert!(first <= took + slack, "{first:?}, and one who came later {took:?}");
    }
}

/// One who answers 429 and says that it may be asked again at once.
#[tokio::test(start_paused = true)]
async fn who_is_always_full_is_not_asked_by_everybody() {
    let market = market("", &[json!({"status": 429, "retry_after": "0"}), json!({})]);
    seed(5);
    let body = ordered(stream(json!({})), &["p0", "p1"]);
    let requests: u64 = 500;
    for number in 0..requests {
        let answer = market.gateway.ask(&body).await;
        assert!(answer.is_complete(), "{number}: {} {}", answer.status, answer.text());
    }
    let refused = r#"quorate_attempts_total{outcome="status"} "#;
    let asked = market.gateway.count(refused);
    assert!(asked <= requests / 10, "asked for {asked} of {requests} requests");
}
