//! Nodes that end, and capacity that does: nobody's answer suffers.

use http::StatusCode;
use http_body_util::BodyExt as _;
use serde_json::json;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::harness::{chat, gateway, node, stream, until};

#[tokio::test]
async fn a_node_told_to_stop_finishes_its_streams_and_gets_no_new_ones() {
    let gateway = gateway(|_| {}).await;
    let script = json!({"tokens": 60, "itl_ms": 10});
    let leaving = Arc::new(node(&[&gateway], script.clone(), |_, _| {}).await);
    gateway.until_offers(1).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let answer = gateway.send(&stream()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        streams.push(answer.into_body());
    }
    assert_eq!(leaving.counters.jobs_started(), 20);
    let staying = node(&[&gateway], json!({"tokens": 3}), |_, _| {}).await;
    gateway.until_offers(2).await;
    let stopping = leaving.clone();
    let stopped = tokio::task::spawn(async move { stopping.stop().await });
    gateway.until_offers(1).await;
    for _ in 0..50 {
        let (status, _, body) = gateway.ask(&chat()).await;
        assert_eq!(status, StatusCode::OK, "{body:?}");
    }
    for body in streams {
        let bytes = body.collect().await.expect("a whole stream").to_bytes();
        let text = std::str::from_utf8(&bytes).expect("UTF-8");
        assert!(text.contains(" tok59") && text.ends_with("data: [DONE]\n\n"), "{text}");
    }
    stopped.await.expect("it ends");
    assert_eq!(leaving.counters.jobs_started(), 20, "nothing new after it said that it drains");
    assert_eq!(leaving.counters.jobs_finished(), 20);
    assert!(staying.counters.jobs_finished() >= 50);
    gateway.running.stop().await;
}

#[tokio::test]
async fn rented_capacity_that_ends_in_a_minute_gets_nothing_new_and_nobody_an_error() {
    let gateway = gateway(|_| {}).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let ends = i64::try_from(now).expect("fits") + 61_500;
    let script = json!({"tokens": 20, "itl_ms": 5});
    let ending =
        node(&[&gateway], script.clone(), |joining, _| joining.lease_ends_ms = Some(ends)).await;
    gateway.until_offers(1).await;
    // For a while it is the only one, and serves.
    let (status, _, body) = gateway.ask(&chat()).await;
    assert_eq!(status, StatusCode::OK, "{body:?}");
    let staying = node(&[&gateway], script, |_, _| {}).await;
    gateway.until_offers(2).await;
    // Four clients that never rest, over the moment from which on it gets nothing new.
    let mut quiet = 0;
    let mut before = ending.counters.jobs_started();
    while quiet < 40 {
        let requests = (0..4).map(|_| async { gateway.ask(&stream()).await });
        for (status, _, body) in futures_util::future::join_all(requests).await {
            assert_eq!(status, StatusCode::OK, "{body:?}");
            assert!(body.ends_with(b"data: [DONE]\n\n"), "{body:?}");
        }
        let after = ending.counters.jobs_started();
        quiet = if after == before { quiet + 1 } else { 0 };
        before = after;
    }
    assert!(before > 1, "it had a share before");
    assert!(staying.counters.jobs_finished() >= 160);
    assert_eq!(ending.counters.jobs_cancelled(), 0);
    gateway.running.stop().await;
}

#[tokio::test]
async fn a_node_that_vanishes_is_replaced_before_the_first_content() {
    let gateway = gateway(|_| {}).await;
    let vanishing = node(&[&gateway], json!({"ttft_ms": 3_600_000}), |_, _| {}).await;
    let healthy = node(&[&gateway], json!({"tokens": 3}), |_, _| {}).await;
    gateway.until_offers(2).await;
    let first = vanishing.links.as_ref().expect("it has gateways").status().node.short();
    let mut body = stream();
    body["provider"] = json!({"order": [first]});
    let crash = async {
        until(|| vanishing.counters.jobs_started() == 1).await;
        vanishing.shutdown.kill();
    };
    let asked = futures_util::future::join(gateway.ask(&body), crash);
    let ((status, headers, body), ()) = asked.await;
    assert_eq!(status, StatusCode::OK, "{body:?}");
    assert_eq!(headers["x-quorate-attempts"], "2");
    assert!(body.ends_with(b"data: [DONE]\n\n"));
    assert_eq!(healthy.counters.jobs_finished(), 1);
    gateway.until_offers(1).await;
    gateway.running.stop().await;
}

#[tokio::test]
async fn gateway_and_node_that_stop_at_once_finish_what_runs() {
    let gateway = gateway(|_| {}).await;
    let node = Arc::new(node(&[&gateway], json!({"tokens": 60, "itl_ms": 10}), |_, _| {}).await);
    gateway.until_offers(1).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let answer = gateway.send(&stream()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        streams.push(answer.into_body());
    }
    let stopping = node.clone();
    let node_stopped = tokio::task::spawn(async move { stopping.stop().await });
    let gateway_stopped = tokio::task::spawn(gateway.running.stop());
    for body in streams {
        let bytes = body.collect().await.expect("a whole stream").to_bytes();
        let text = std::str::from_utf8(&bytes).expect("UTF-8");
        assert!(text.contains(" tok59") && text.ends_with("data: [DONE]\n\n"), "{text}");
    }
    node_stopped.await.expect("it ends");
    gateway_stopped.await.expect("it ends");
    assert_eq!(node.counters.jobs_finished(), 20);
}
