//! Nodes and gateways that find each other again, and nodes with several gateways.

use http::StatusCode;
use serde_json::json;

use crate::harness::{chat, gateway, node, stream, until};

#[tokio::test]
async fn a_gateway_that_restarts_is_found_again_by_the_same_node() {
    let mut gateway = gateway(|_| {}).await;
    let provider = node(&[&gateway], json!({"tokens": 3}), |_, _| {}).await;
    gateway.until_offers(1).await;
    let (_, headers, _) = gateway.ask(&chat()).await;
    let name = headers["x-quorate-provider"].clone();
    for _ in 0..3 {
        gateway = gateway.restarted().await;
        gateway.until_offers(1).await;
        let (status, headers, body) = gateway.ask(&chat()).await;
        assert_eq!(status, StatusCode::OK, "{body:?}");
        assert_eq!(headers["x-quorate-provider"], name, "its key is its name");
        assert_eq!(gateway.running.app.metrics.nodes.get(), 1, "nothing is left of before");
    }
    assert_eq!(provider.counters.jobs_finished(), 4);
    gateway.running.stop().await;
}

#[tokio::test]
async fn one_node_serves_several_gateways() {
    let (one, other) = (gateway(|_| {}).await, gateway(|_| {}).await);
    let provider = node(&[&one, &other], json!({"tokens": 3}), |_, _| {}).await;
    for gateway in [&one, &other] {
        gateway.until_offers(1).await;
        let (status, _, body) = gateway.ask(&stream()).await;
        assert_eq!(status, StatusCode::OK, "{body:?}");
    }
    one.running.stop().await;
    let (status, _, body) = other.ask(&stream()).await;
    assert_eq!(status, StatusCode::OK, "{body:?}");
    assert_eq!(provider.counters.jobs_finished(), 3);
    other.running.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_behind_the_tunnel() {
    let gateway = gateway(|_| {}).await;
    let provider = node(&[&gateway], json!({"tokens": 100_000, "itl_ms": 5}), |_, _| {}).await;
    gateway.until_offers(1).await;
    let answer = gateway.send(&stream()).await;
    assert_eq!(answer.status(), StatusCode::OK);
    drop(answer);
    until(|| provider.counters.jobs_cancelled() == 1).await;
    let offers = gateway.running.app.market.snapshot();
    let endpoint = &offers.endpoints()[0];
    until(|| endpoint.in_flight() == 0).await;
    gateway.running.stop().await;
}
