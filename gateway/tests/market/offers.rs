//! Price lists while a node is connected.

use gateway::market::testing::Node;
use openapi::sign::Signed;
use std::time::Duration;

use crate::harness::{NOW_MS, acme, catalogue, is_open, market, refused, url};

const HOUR: Duration = Duration::from_secs(3600);

fn now_ms() -> i64 {
    i64::try_from(NOW_MS).expect("fits")
}

#[test]
fn a_later_offer_is_in_force_at_once_and_an_earlier_one_never() {
    let (market, _) = market("", &catalogue());
    let mut node = Node::new(1, acme());
    let membership = node.join(&market, &url()).expect("joins");
    market.publish();
    let snapshot = market.snapshot();
    let price = || snapshot.model("acme/m").expect("sold").offers[0].prices().prompt;
    assert_eq!(price(), Some(0.05), "50,000 pico-dollars a token are 0.05 dollars a million");

    node.sequence = 5;
    node.price = (200_000, 300_000);
    let later = Signed::new(&node.offer(now_ms()), &node.key).expect("signed");
    let seen = membership.offer(&later);
    assert_eq!((seen.sequence, seen.reason), (5, None));
    assert_eq!(price(), Some(0.2), "in a snapshot that was taken before");

    let again = membership.offer(&later);
    assert!(again.reason.expect("refused").contains("not above 5"));
    node.sequence = 4;
    node.price = (1, 1);
    let earlier = Signed::new(&node.offer(now_ms()), &node.key).expect("signed");
    assert!(membership.offer(&earlier).reason.is_some());
    let forged = Signed::new(&node.offer(now_ms()), &node.operator).expect("signed");
    assert!(membership.offer(&forged).reason.is_some());
    assert_eq!(price(), Some(0.2));

    drop(membership);
    let back = refused(&node, &market);
    assert_eq!((back.code(), back.param()), ("offer_invalid", Some("offer.sequence")));
    node.sequence = 6;
    drop(node.join(&market, &url()).expect("joins"));
    node.sequence = 5;
    assert_eq!(refused(&node, &market).code(), "offer_invalid", "a hello's offer counts too");
    node.sequence = 6;
    node.ask(&market).expect("the offer that was in force");
}

#[test]
fn an_offer_that_is_over_sells_nothing_until_the_next() {
    let (market, clock) = market("lease_ms = 600000", &catalogue());
    let mut node = Node { valid_ms: 60_000, ..Node::new(1, acme()) };
    let membership = node.join(&market, &url()).expect("joins");
    market.publish();
    clock.advance(Duration::from_millis(59_999));
    assert!(is_open(&market, "acme/m"));
    clock.advance(Duration::from_millis(1));
    assert!(!is_open(&market, "acme/m"));
    node.sequence = 2;
    let next = Signed::new(&node.offer(now_ms() + 60_000), &node.key).expect("signed");
    assert_eq!(membership.offer(&next).reason, None);
    assert!(is_open(&market, "acme/m"));
}

#[test]
fn rented_capacity_gets_nothing_new_in_its_last_minute() {
    let (market, clock) = market("lease_ms = 600000", &catalogue());
    let ends = now_ms() + 120_000;
    let node = Node { lease_expires_at_ms: Some(ends), ..Node::new(1, acme()) };
    let membership = node.join(&market, &url()).expect("joins");
    market.publish();
    let member = membership.member();
    let open_for = |seconds| member.is_open(market.time().now(), Duration::from_secs(seconds));
    assert!(open_for(0) && open_for(119) && !open_for(120), "longer answers need more");
    clock.advance(Duration::from_millis(59_999));
    assert!(open_for(0));
    clock.advance(Duration::from_millis(1));
    assert!(!open_for(0), "60 s before the end");
    membership.lease_expires(ends + 60_000);
    assert!(open_for(0), "it was prolonged");
    clock.advance(HOUR);
    assert!(!open_for(0));
}
