//! The end of a member: gateways are told, what runs is finished, and only then tunnels close.

use crate::gateway::{Gateway, chat, member};
use crate::tunnel::whole;
use http_body_util::BodyExt;
use openapi::node::control::ToGateway;
use serde_json::json;

#[tokio::test]
async fn told_to_stop_a_node_says_so_finishes_and_then_closes() {
    let mut gateway = Gateway::start(1).await;
    let script = json!({"tokens": 20, "itl_ms": 100});
    let running = member(&[gateway.pinned()], script, |_, _| {}).await;
    let tunnel = gateway.tunnel().await;
    let mut control = tunnel.control().await;
    let mut streaming = tunnel.chat(chat(true)).await;
    // It runs.
    streaming.body_mut().frame().await.unwrap().unwrap();
    let order = async {
        let drain = control.news().await;
        assert!(matches!(drain, Some(ToGateway::Drain { within_ms: 30_000 })), "{drain:?}");
        let refused = whole(tunnel.chat(chat(false)).await).await;
        assert_eq!(refused.status, 503);
        assert!(refused.text.contains("shutting_down"), "{}", refused.text);
        assert_eq!(running.counters.jobs_finished(), 0, "the stream still runs");
        let rest = whole(streaming).await.text;
        assert!(rest.ends_with("data: [DONE]\n\n"), "{rest}");
        assert_eq!(control.news().await, None);
        tunnel.closed().await;
    };
    tokio::join!(running.stop(), order);
    assert_eq!(running.counters.jobs_cancelled(), 0);
    assert!(gateway.tunnels.try_recv().is_err(), "it does not come back");
}

#[tokio::test]
async fn an_idle_node_tells_before_it_closes() {
    let mut gateway = Gateway::start(1).await;
    let running = member(&[gateway.pinned()], json!({}), |_, _| {}).await;
    let tunnel = gateway.tunnel().await;
    let mut control = tunnel.control().await;
    let order = async {
        assert!(matches!(control.news().await, Some(ToGateway::Drain { .. })));
        assert_eq!(control.news().await, None);
        tunnel.closed().await;
    };
    tokio::join!(running.stop(), order);
}
