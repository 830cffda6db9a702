//! A link's life: it comes back, it obeys, it passes on new prices.

use crate::gateway::{Gateway, Manner, chat, manner, member};
use crate::tunnel::whole;
use openapi::node::control::{ToGateway, ToNode};
use provider::offer::{Prices, Terms};
use provider::status::Phase;
use serde_json::json;

#[tokio::test]
async fn a_gateway_that_vanished_is_found_again() {
    let mut gateway = Gateway::start(1).await;
    let (addr, url) = (gateway.addr, gateway.pinned());
    let running = member(&[url], json!({}), |_, _| {}).await;
    let tunnel = gateway.tunnel().await;
    let before = gateway.heard().await;
    drop((tunnel, gateway));
    let links = running.links.as_ref().unwrap();
    links.until(|all| all[0].phase == Phase::Waiting).await;
    let mut again = Gateway::at(addr, 1, manner(1)).await;
    let after = again.heard().await;
    assert_eq!(before.hello.node, after.hello.node);
    assert_ne!(before.hello.exporter, after.hello.exporter);
    let tunnel = again.tunnel().await;
    assert_eq!(whole(tunnel.chat(chat(false)).await).await.status, 200);
    assert_eq!(links.status().gateways[0].joined, 2);
}

#[tokio::test]
async fn gateways_are_served_side_by_side() {
    let (mut one, mut two) = (Gateway::start(1).await, Gateway::start(2).await);
    let running = member(&[one.pinned(), two.pinned()], json!({}), |_, _| {}).await;
    let (first, second) = (one.tunnel().await, two.tunnel().await);
    for tunnel in [&first, &second] {
        assert_eq!(whole(tunnel.chat(chat(true)).await).await.status, 200);
    }
    drop((first, one));
    let links = running.links.as_ref().unwrap();
    links.until(|all| all[0].lease.is_none()).await;
    assert_eq!(whole(second.chat(chat(true)).await).await.status, 200);
    assert_eq!(links.status().gateways[1].joined, 1);
}

#[tokio::test]
async fn a_silent_gateway_is_dialled_again() {
    let hasty = || Manner { lease_ms: 80, heartbeat_ms: 20, ..manner(1) };
    let mut gateway = Gateway::with(1, hasty()).await;
    let _running = member(&[gateway.pinned()], json!({}), |_, _| {}).await;
    // The first opens no control exchange, the second answers nothing in it.
    let first = gateway.tunnel().await;
    first.closed().await;
    let second = gateway.tunnel().await;
    let mut control = second.control().await;
    while control.next().await.is_some() {}
    second.closed().await;
    gateway.tunnel().await;
}

#[tokio::test]
async fn a_bye_says_whether_to_come_back() {
    let mut gateway = Gateway::start(1).await;
    let running = member(&[gateway.pinned()], json!({}), |_, _| {}).await;
    let bye = |retry| ToNode::Bye { reason: "restarting".to_owned(), retry };
    let tunnel = gateway.tunnel().await;
    let mut control = tunnel.control().await;
    control.say(&bye(true)).await;
    assert_eq!(control.news().await, None);
    tunnel.closed().await;
    let tunnel = gateway.tunnel().await;
    let control = tunnel.control().await;
    control.say(&bye(false)).await;
    tunnel.closed().await;
    let links = running.links.as_ref().unwrap();
    links.until(|all| all[0].phase == Phase::Stopped).await;
    let status = links.status();
    let trouble = status.gateways[0].trouble.as_deref();
    assert_eq!(trouble, Some("it sent this node away: restarting"));
    running.stop().await;
    assert!(gateway.tunnels.try_recv().is_err());
}

#[tokio::test]
async fn new_prices_and_a_new_end_go_to_every_gateway() {
    let (mut one, mut two) = (Gateway::start(1).await, Gateway::start(2).await);
    let running = member(&[one.pinned(), two.pinned()], json!({}), |_, _| {}).await;
    let old = one.heard().await.hello.offer.claims().unwrap();
    let (first, second) = (one.tunnel().await, two.tunnel().await);
    let mut controls = [first.control().await, second.control().await];
    for control in &mut controls {
        assert!(matches!(control.next().await, Some(ToGateway::Heartbeat { sequence: 1, .. })));
    }
    let prices = Prices { prompt: 70_000, completion: 1, cached: None };
    running.reprice(Terms { prices, ..Terms::default() }, Some(5_000)).unwrap();
    let links = running.links.as_ref().unwrap();
    let node = links.status().node;
    for control in &mut controls {
        let Some(ToGateway::Offer { offer }) = control.news().await else { panic!("an offer") };
        let offer = offer.open(&node).unwrap();
        assert!(offer.sequence > old.sequence);
        assert_eq!(offer.prices[0].prompt_pusd, 70_000);
        let seen = ToNode::OfferSeen { sequence: offer.sequence, reason: None };
        control.say(&seen).await;
        assert_eq!(control.news().await, Some(ToGateway::LeaseExpires { at_ms: 5_000 }));
    }
    let newest = links.status().offer.sequence;
    let in_force = |gateway: &provider::status::Gateway| {
        gateway.lease.as_ref().is_some_and(|lease| lease.offer == Some(newest))
    };
    links.until(|all| all.iter().all(in_force)).await;
    let reason = Some("too dear".to_owned());
    controls[0].say(&ToNode::OfferSeen { sequence: newest + 1, reason: reason.clone() }).await;
    let refused = |gateway: &provider::status::Gateway| {
        gateway.lease.as_ref().is_some_and(|lease| lease.offer_refused == reason)
    };
    links.until(|all| refused(&all[0]) && in_force(&all[0]) && !refused(&all[1])).await;
}

#[tokio::test]
async fn control_messages_that_can_t_be_read_end_the_link() {
    let mut gateway = Gateway::start(1).await;
    let running = member(&[gateway.pinned()], json!({}), |_, _| {}).await;
    let links = running.links.as_ref().unwrap();
    let long = "x".repeat(70_000);
    for (bad, expected) in [("no json\n", "can't be read"), (long.as_str(), "too long")] {
        let tunnel = gateway.tunnel().await;
        let mut control = tunnel.control().await;
        assert!(matches!(control.next().await, Some(ToGateway::Heartbeat { .. })));
        control.raw(bad).await;
        while control.next().await.is_some() {}
        let said = |gateway: &provider::status::Gateway| {
            gateway.trouble.as_ref().is_some_and(|text| text.contains(expected))
        };
        links.until(|all| said(&all[0])).await;
    }
    gateway.tunnel().await;
}

#[tokio::test]
async fn an_end_of_rented_capacity_is_told_though_it_changed_while_joining_and_taken_back() {
    let mut gateway = Gateway::start(1).await;
    let running = member(&[gateway.pinned()], json!({}), |joining, _| {
        joining.lease_ends_ms = Some(5_000);
    })
    .await;
    assert_eq!(gateway.heard().await.hello.lease_expires_at_ms, Some(5_000));
    let tunnel = gateway.tunnel().await;
    // Before there is a way to say so.
    running.reprice(Terms::default(), Some(9_000)).unwrap();
    let mut control = tunnel.control().await;
    let mut ends = async |expected| loop {
        match control.news().await.unwrap() {
            ToGateway::LeaseExpires { at_ms } => return assert_eq!(at_ms, expected),
            ToGateway::Offer { .. } | ToGateway::Pong { .. } => {}
            other => panic!("not {expected}, but {other:?}"),
        }
    };
    ends(9_000).await;
    running.reprice(Terms::default(), None).unwrap();
    ends(i64::MAX).await;
}
