//! Joining: what a node says of itself, and whom it refuses to believe.

use crate::gateway::{Gateway, MODEL, Twist, chat, key, manner, member};
use crate::tunnel::whole;
use http::StatusCode;
use openapi::node::control::{Load, Report, ToGateway, ToNode};
use openapi::node::{LOAD_HEADER, Link, Standing};
use openapi::sign::PublicKey;
use provider::app::Running;
use provider::engine::scripted;
use provider::offer::{Prices, Terms};
use provider::status::Phase;
use provider::testing;
use serde_json::json;

#[tokio::test]
async fn a_node_joins_and_serves_over_the_connection_it_opened() {
    let mut gateway = Gateway::start(1).await;
    let script = json!({"text": "over the tunnel"});
    let running = member(&[gateway.pinned()], script, |joining, _| {
        joining.gateways[0].join_token = Some("let-me-in".into());
        joining.region = Some("eu-west".to_owned());
        let prices = Prices { prompt: 50_000, completion: 200_000, cached: None };
        joining.terms = Terms { prices, ..Terms::default() };
    })
    .await;
    let heard = gateway.heard().await;
    let hello = heard.hello;
    assert_eq!(heard.authorization.as_deref(), Some("Bearer let-me-in"));
    assert_eq!(hello.gateway, gateway.key.public());
    assert_eq!((hello.exporter, hello.nonce), (hex::encode(heard.exporter), heard.nonce));
    let delegation = hello.delegation.claims().unwrap();
    let delegation = hello.delegation.open(&delegation.operator).unwrap();
    assert_eq!(delegation.node, hello.node);
    let offer = hello.offer.open(&hello.node).unwrap();
    assert_eq!((offer.prices[0].model.as_str(), offer.prices[0].prompt_pusd), (MODEL, 50_000));
    assert_eq!((hello.link, hello.region.as_deref()), (Link::Tunnel, Some("eu-west")));
    assert_eq!((hello.capacity.running_max, hello.capacity.queued_max), (1024, 64));
    assert_eq!(hello.models[0].weights_id, Some(scripted::weights_id()));
    assert_eq!(hello.hardware.backend, "scripted");

    let tunnel = gateway.tunnel().await;
    let mut control = tunnel.control().await;
    let first = control.next().await.unwrap();
    let idle = Load { running: 0, queued: 0, kv_used: None };
    assert_eq!(first, ToGateway::Heartbeat { sequence: 1, load: idle });
    control.say(&ToNode::Renewed { sequence: 1 }).await;
    testing::joined(&running).await;
    control.raw("{\"kind\":\"dance\"}\n").await;
    control.say(&ToNode::Ping { sequence: 7 }).await;
    assert_eq!(control.news().await, Some(ToGateway::Pong { sequence: 7 }));
    let answer = whole(tunnel.chat(chat(true)).await).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers[LOAD_HEADER], "running=0,queued=0");
    assert!(answer.text.ends_with("data: [DONE]\n\n"), "{}", answer.text);

    let report = Report {
        standing: Standing::Active,
        requests: 1,
        failures: 0,
        tokens: 3,
        prefill_tps: Some(900.0),
        decode_tps: None,
        rtt_ms: None,
        note: None,
    };
    control.say(&ToNode::Report { report: report.clone() }).await;
    let links = running.links.as_ref().unwrap();
    links.until(|all| all[0].lease.as_ref().is_some_and(|lease| lease.report.is_some())).await;
    let status = links.status();
    let [stands] = status.gateways.as_slice() else { panic!("one gateway") };
    let lease = stands.lease.as_ref().unwrap();
    assert_eq!((stands.phase, stands.joined, stands.requests), (Phase::Connected, 1, 1));
    assert_eq!((lease.report.as_ref(), lease.standing), (Some(&report), Standing::Active));
    assert_eq!((lease.gateway, lease.selling[0].verified), (gateway.key.public(), true));
}

/// What is wrong with the only gateway, once something is.
async fn trouble(running: &Running) -> String {
    let links = running.links.as_ref().unwrap();
    links.until(|all| all[0].phase == Phase::Waiting).await;
    links.status().gateways[0].trouble.clone().unwrap()
}

#[tokio::test]
async fn a_gateway_with_another_key_than_the_pinned_one_hears_nothing() {
    let mut gateway = Gateway::start(1).await;
    let other = format!("https://{}#{}", gateway.addr, key(2).public());
    let running = member(&[other], json!({}), |joining, _| {
        joining.gateways[0].join_token = Some("let-me-in".into());
    })
    .await;
    let text = trouble(&running).await;
    assert!(text.starts_with("it can't be reached: "), "{text}");
    assert!(gateway.heard.try_recv().is_err());
}

#[tokio::test]
async fn a_gateway_that_claims_another_key_in_its_challenge_hears_nothing() {
    let lies = crate::gateway::Manner { claims: key(2), ..manner(1) };
    let mut gateway = Gateway::with(1, lies).await;
    let running = member(&[gateway.pinned()], json!({}), |_, _| {}).await;
    let text = trouble(&running).await;
    assert!(text.contains("not the one that is pinned"), "{text}");
    assert!(gateway.heard.try_recv().is_err());
}

#[tokio::test]
async fn a_welcome_must_be_the_gateway_s_own_for_this_connection_and_hello() {
    let twists: [(Twist, &str); 5] = [
        (|granted| granted.exporter = "00".repeat(32), "for another connection"),
        (|granted| granted.hello_sha256 = "00".repeat(32), "answers another hello"),
        (|granted| granted.node = PublicKey::from_bytes([9; 32]), "for another node"),
        (|granted| granted.gateway = PublicKey::from_bytes([9; 32]), "names another gateway"),
        (|granted| granted.heartbeat_ms = 0, "before a heartbeat is due"),
    ];
    for (twist, expected) in twists {
        let mut gateway = Gateway::with(1, crate::gateway::Manner { twist, ..manner(1) }).await;
        let running = member(&[gateway.pinned()], json!({}), |_, _| {}).await;
        let text = trouble(&running).await;
        assert!(text.contains(expected), "{text}");
        assert!(gateway.tunnels.try_recv().is_err(), "no tunnel: {expected}");
    }
    // Unpinned on loopback, it is still the key of the challenge that must sign.
    let lies = crate::gateway::Manner { signs: key(2), ..manner(1) };
    let mut gateway = Gateway::with(1, lies).await;
    let url = format!("https://{}", gateway.addr);
    let running = member(&[url], json!({}), |_, _| {}).await;
    let text = trouble(&running).await;
    assert!(text.contains("its welcome is not its own"), "{text}");
    assert!(gateway.tunnels.try_recv().is_err());
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason() {
    let refuses = Some((StatusCode::FORBIDDEN, "weights_not_listed"));
    let mut gateway = Gateway::with(1, crate::gateway::Manner { refuses, ..manner(1) }).await;
    let running = member(&[gateway.pinned()], json!({}), |_, _| {}).await;
    assert_eq!(trouble(&running).await, "it refuses this node (weights_not_listed, 403): no");
    gateway.heard().await;
    running.stop().await;
    assert!(gateway.heard.try_recv().is_err(), "it is not asked again at once");
}
