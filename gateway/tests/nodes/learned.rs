//! What operators are shown of what the gateway learned of a node by the requests it sent there.

use serde_json::{Value, json};

use crate::harness::{Gateway, ask, gateway_with, stream};
use crate::measure::Admin;
use crate::node::Identity;

async fn learned(gateway: &Gateway) -> Value {
    let admin = Admin::new(gateway);
    let list = admin.get("/admin/v1/nodes").await;
    let name = list["data"][0]["provider"].as_str().expect("a node").to_owned();
    let detail = admin.get(&format!("/admin/v1/nodes/{name}")).await;
    let learned = detail["node"]["models"][0]["learned"].clone();
    // One word for both; only times go on.
    assert_eq!(list["data"][0]["models"][0]["learned"]["concurrency"], learned["concurrency"]);
    learned
}

#[tokio::test]
async fn what_is_learned_of_a_node_is_shown_with_its_breaker() {
    let limits = "head_ms = 200\n[breaker]\nfailures = 2\nbackoff_ms = 600000";
    let gateway = gateway_with(limits, |_| {}).await;
    let node = Identity::new(1).join(&gateway).await;
    gateway.until_offers(1).await;
    let before = learned(&gateway).await;
    assert_eq!((&before["breaker"], &before["unused_ms"]), (&json!("closed"), &Value::Null));
    // The prior: half a second, a 4,000th of a second a token, and the way there.
    assert!(before["first_token_s"].as_f64() >= Some(0.75), "{before}");
    for _ in 0..8 {
        assert_eq!(ask(gateway.addr(), stream("whole")).await.0, 200);
    }
    let good = learned(&gateway).await;
    assert!(good["first_token_s"].as_f64() < before["first_token_s"].as_f64(), "{good}");
    assert!(good["unused_ms"].is_u64() && good["concurrency"].as_f64() >= Some(4.0), "{good}");
    assert!(good["failure"].as_f64() < before["failure"].as_f64(), "{good}");
    assert_eq!(good["breaker_open_ms"], Value::Null);
    for _ in 0..2 {
        assert_eq!(ask(gateway.addr(), stream("no head")).await.0, 504);
    }
    let bad = learned(&gateway).await;
    assert_eq!(bad["breaker"], "open", "{bad}");
    // Half of the pause is by chance.
    let left_ms = bad["breaker_open_ms"].as_u64().expect("milliseconds");
    assert!((200_000..=600_000).contains(&left_ms), "{bad}");
    assert!(bad["failure"].as_f64() > Some(0.1), "{bad}");
    assert!(bad["concurrency"].as_f64() < good["concurrency"].as_f64(), "{bad}");
    drop(node);
}
