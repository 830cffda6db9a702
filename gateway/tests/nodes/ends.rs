//! Tunnels that end: by the node's fault, by its word, by another connection of its own, by the
//! gateway's drain.

use http::StatusCode;
use http_body_util::BodyExt as _;
use openapi::node::control::{ToGateway, ToNode};
use openapi::node::{MESSAGE_BYTES_MAX, Standing};
use serde_json::Value;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use crate::harness::{ask, content, gateway, gateway_with, send, stream, until};
use crate::node::{Identity, code};

#[tokio::test]
async fn a_tunnel_that_breaks_in_mid_stream_is_told_the_client() {
    let gateway = gateway().await;
    let _node = Identity::new(1).join(&gateway).await;
    gateway.until_offers(1).await;
    let (status, _, text) = ask(gateway.addr(), stream("leave")).await;
    assert_eq!((status, content(&text).as_str()), (StatusCode::OK, "half"), "{text}");
    assert!(text.contains("data: {\"error\":") && !text.contains("[DONE]"), "{text}");
    gateway.until_quiet().await;
    let (status, _, text) = ask(gateway.addr(), stream("hello")).await;
    assert_eq!(status, 503, "{text}");
    assert_eq!(code(&serde_json::from_str(&text).unwrap()), "no_provider", "{text}");
}

#[tokio::test]
async fn a_tunnel_that_breaks_before_content_costs_the_client_nothing() {
    for prompt in ["leave before the head", "leave before content"] {
        let gateway = gateway_with("attempts = 2", |_| {}).await;
        let nodes = [Identity::new(1).join(&gateway).await, Identity::new(2).join(&gateway).await];
        gateway.until_offers(2).await;
        // Both do as they are told, so the second attempt fails too: the client gets an honest error.
        let (status, _, text) = ask(gateway.addr(), stream(prompt)).await;
        assert_eq!(status, 502, "{prompt}: {text}");
        let begun: u64 = nodes.iter().map(|node| node.work.begun.load(SeqCst)).sum();
        assert_eq!(begun, 2, "{prompt}: each was asked once");
        gateway.until_quiet().await;
    }
}

#[tokio::test]
async fn the_next_provider_answers_for_a_tunnel_that_breaks_before_content() {
    for prompt in ["leave before the head", "leave before content"] {
        let gateway = gateway().await;
        let (bad, good) = (Identity::new(1), Identity::new(2));
        let nodes = [bad.join(&gateway).await, good.join(&gateway).await];
        nodes[1].work.is_good.store(true, SeqCst);
        gateway.until_offers(2).await;
        let mut body: Value = serde_json::from_slice(&stream(prompt)).unwrap();
        body["provider"] = serde_json::json!({"order": [bad.key.public().short()]});
        let (status, headers, text) = ask(gateway.addr(), body.to_string().into()).await;
        assert_eq!((status, content(&text).as_str()), (StatusCode::OK, "hello"), "{text}");
        assert_eq!(headers["x-quorate-attempts"], "2", "{prompt}");
        assert_eq!(headers["x-quorate-provider"], *good.key.public().short());
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        gateway.until_offers(1).await;
    }
}

#[tokio::test]
async fn a_control_message_that_is_too_long_or_malformed_ends_the_lease_with_a_word() {
    for (line, reason) in [
        ("x".repeat(MESSAGE_BYTES_MAX + 1), "longer"),
        ("{\"kind\":7}".to_owned(), "can't be read"),
        ("no JSON".to_owned(), "can't be read"),
    ] {
        let gateway = gateway().await;
        let mut node = Identity::new(1).join(&gateway).await;
        gateway.until_offers(1).await;
        node.say_line(line);
        let (told, retry) = node.bye().await;
        assert!(told.contains(reason) && !retry, "{told}");
        gateway.until_quiet().await;
    }
}

#[tokio::test]
async fn a_flood_of_control_messages_ends_the_lease() {
    let gateway = gateway().await;
    let mut node = Identity::new(1).join(&gateway).await;
    gateway.until_offers(1).await;
    for _ in 0..1000 {
        node.say_line("{\"kind\":\"dance\"}".to_owned());
    }
    let (told, _) = node.bye().await;
    assert!(told.contains("more than"), "{told}");
    gateway.until_quiet().await;
}

#[tokio::test]
async fn a_kind_of_message_that_is_not_known_is_passed_over() {
    let gateway = gateway().await;
    let mut node = Identity::new(1).join(&gateway).await;
    gateway.until_offers(1).await;
    node.say_line("{\"kind\":\"dance\"}".to_owned());
    let load = openapi::node::control::Load::default();
    node.say(&ToGateway::Heartbeat { sequence: 2, load });
    loop {
        match node.heard.recv().await.expect("an answer") {
            ToNode::Renewed { sequence: 2 } => break,
            ToNode::Bye { reason, .. } => panic!("{reason}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn the_newer_connection_of_a_node_takes_the_place_of_the_older() {
    let gateway = gateway().await;
    let identity = Identity::new(1);
    let mut first = identity.join(&gateway).await;
    gateway.until_offers(1).await;
    let second = identity.join(&gateway).await;
    first.bye().await;
    until(|| gateway.metrics().node_connections.get() == 1).await;
    gateway.until_offers(1).await;
    let (_, _, text) = ask(gateway.addr(), stream("hello")).await;
    assert_eq!(content(&text), "hello");
    assert_eq!(first.work.begun.load(SeqCst), 0);
    drop(second);
    gateway.until_quiet().await;
}

#[tokio::test]
async fn a_drain_of_the_gateway_lets_streams_end_and_then_tells_the_node() {
    let gateway = gateway().await;
    let mut node = Identity::new(1).join(&gateway).await;
    gateway.until_offers(1).await;
    let mut answer = send(gateway.addr(), stream("wait")).await;
    let first = answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("ready"));
    let (app, addr) = (gateway.running.app.clone(), gateway.node_addr());
    let stopped = tokio::task::spawn(gateway.running.stop());
    until(|| app.shutdown.is_draining()).await;
    // Nobody else may join.
    until_refused(addr).await;
    assert!(!stopped.is_finished(), "the stream goes on");
    node.work.go();
    let rest = answer.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&rest);
    assert!(text.ends_with("data: [DONE]\n\n") && content(&text) == "hello", "{text}");
    let (reason, retry) = node.bye().await;
    assert!(retry && reason.contains("stops"), "{reason}");
    assert_eq!(stopped.await.unwrap(), gateway::shutdown::Drained::Clean);
    assert_eq!(app.metrics.nodes.get(), 0);
    until(|| app.metrics.node_connections.get() == 0).await;
}

#[tokio::test]
async fn what_a_drain_does_not_wait_for_is_cut_with_an_error_event() {
    let gateway = gateway_with("drain_ms = 0", |_| {}).await;
    let node = Identity::new(1).join(&gateway).await;
    gateway.until_offers(1).await;
    let answer = send(gateway.addr(), stream("half")).await;
    let app = gateway.running.app.clone();
    let stopped = tokio::task::spawn(gateway.running.stop());
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("\"draining\"") && !text.contains("[DONE]"), "{text}");
    assert!(matches!(stopped.await.unwrap(), gateway::shutdown::Drained::Cut { .. }));
    until(|| node.work.running() == 0 && app.metrics.node_connections.get() == 0).await;
}

#[tokio::test]
async fn a_node_that_drains_ends_its_streams_and_gets_no_new_ones() {
    let gateway = gateway().await;
    let node = Identity::new(1).join(&gateway).await;
    gateway.until_offers(1).await;
    let mut answer = send(gateway.addr(), stream("wait")).await;
    answer.body_mut().frame().await.unwrap().unwrap();
    node.say(&ToGateway::Drain { within_ms: 3_600_000 });
    let member = gateway.running.app.market.members()[0].clone();
    until(|| member.standing() == Standing::Draining).await;
    let (status, _, text) = ask(gateway.addr(), stream("hello")).await;
    assert_eq!(status, 503, "{text}");
    assert_eq!(node.work.begun.load(SeqCst), 1);
    node.work.go();
    let rest = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(rest.ends_with(b"data: [DONE]\n\n"));
}

#[tokio::test]
async fn a_node_that_is_heard_of_no_more_loses_its_lease() {
    let gateway = gateway_with("", |market| market.lease = Duration::from_secs(15)).await;
    let mut node = Identity::new(1).join(&gateway).await;
    gateway.until_offers(1).await;
    tokio::time::pause();
    let (reason, retry) = node.bye().await;
    assert!(retry, "{reason}");
    gateway.until_quiet().await;
}

#[tokio::test]
async fn the_requests_of_a_node_that_is_sent_away_are_cut() {
    let gateway = gateway().await;
    let identity = Identity::new(1);
    let node = identity.join(&gateway).await;
    gateway.until_offers(1).await;
    let answer = send(gateway.addr(), stream("half")).await;
    until(|| node.work.running() == 1).await;
    gateway.running.app.market.eject(&identity.key.public(), "it lies");
    until(|| node.work.running() == 0).await;
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("\"error\"") && !text.contains("[DONE]"), "{text}");
    gateway.until_quiet().await;
}

/// Nodes that keep their leases and take no requests cost nobody an attempt.
#[tokio::test]
async fn tunnels_that_take_no_new_streams_fail_nobodys_request() {
    let gateway = gateway_with("attempts = 2", |_| {}).await;
    let mut closed = Vec::new();
    for number in 1..=3 {
        closed.push(Identity::new(number).join(&gateway).await);
    }
    let _sound = Identity::new(9).join(&gateway).await;
    gateway.until_offers(4).await;
    closed.iter().for_each(crate::node::Node::goaway);
    for number in 0..40 {
        let (status, _, text) = ask(gateway.addr(), stream("hello")).await;
        assert_eq!((status.as_u16(), content(&text).as_str()), (200, "hello"), "{number}: {text}");
    }
}

/// A node that breaks with every request would be asked again each time it has dialled.
#[tokio::test]
async fn a_new_connection_does_not_make_a_node_sound() {
    let gateway = gateway().await;
    let identity = Identity::new(1);
    let node = identity.join(&gateway).await;
    gateway.until_offers(1).await;
    let mut asked = Vec::new();
    for _ in 0..8 {
        asked.push(send(gateway.addr(), stream("half")).await);
    }
    until(|| node.work.running() == 8).await;
    node.cut();
    for answer in asked {
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&text).contains("\"error\""));
    }
    gateway.until_quiet().await;
    let _again = identity.join(&gateway).await;
    gateway.until_offers(1).await;
    let snapshot = gateway.running.app.market.snapshot();
    let model = snapshot.model(crate::harness::MODEL).unwrap();
    let now_ms = gateway.running.app.market.time().now().run_ms;
    assert!(!model.offers[0].learned.is_asked(now_ms));
}

#[tokio::test]
async fn a_node_that_boasts_of_tokens_has_delivered_no_more_than_it_said() {
    let gateway = gateway().await;
    let identity = Identity::new(1);
    let node = identity.join(&gateway).await;
    gateway.until_offers(1).await;
    for _ in 0..2 {
        let (_, _, text) = ask(gateway.addr(), stream("boast")).await;
        assert_eq!(content(&text), "hello");
    }
    let known = gateway.running.app.market.known(&identity.key.public()).unwrap();
    until(|| known.answers() == 2).await;
    assert!((2..=10).contains(&known.tokens()), "{} tokens", known.tokens());
    drop(node);
}

async fn until_refused(addr: std::net::SocketAddr) {
    let refused = async {
        while tokio::net::TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), refused).await.expect("refused");
}

#[tokio::test]
async fn who_is_sent_away_is_cut_with_its_requests() {
    let gateway = gateway_with("drain_ms = 3600000", |_| {}).await;
    let identity = Identity::new(1);
    let mut node = identity.join(&gateway).await;
    gateway.until_offers(1).await;
    let answer = send(gateway.addr(), stream("half")).await;
    until(|| node.work.running() == 1).await;
    assert!(gateway.running.app.market.eject(&identity.key.public(), "it lies"));
    assert_eq!(node.bye().await, ("ejected: it lies".to_owned(), false));
    until(|| node.work.running() == 0).await;
    let text = answer.into_body().collect().await.expect("an orderly end").to_bytes();
    assert!(text.windows(5).any(|part| part == b"error"), "the client is told: {text:?}");
    gateway.until_quiet().await;
}
