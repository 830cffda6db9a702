//! A membership from its first request to its end.

use gateway::market::testing::Node;
use gateway::market::{Bye, Market, Membership};
use gateway::shutdown::Shutdown;
use openapi::node::Standing;
use openapi::node::control::Load;
use std::time::Duration;

use crate::harness::{acme, catalogue, is_open, market, providers, refused, url};

const SECOND: Duration = Duration::from_secs(1);

/// What an ended membership says; a membership that has not ended fails the test.
async fn bye(membership: &Membership) -> Bye {
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, membership.ended()).await.expect("it has ended")
}

fn joined(market: &Market, number: u64) -> Membership {
    let membership = Node::new(number, acme()).join(market, &url()).expect("joins");
    market.publish();
    membership
}

#[tokio::test(start_paused = true)]
async fn a_lease_lasts_as_long_as_heartbeats_come() {
    let (market, clock) = market("", &catalogue());
    let shutdown = Shutdown::new();
    let writer = shutdown.spawn(market.clone().run(shutdown.clone()));
    let membership = joined(&market, 1);
    for _ in 0..10 {
        clock.advance(5 * SECOND);
        membership.heartbeat(Load { running: 2, queued: 1, kv_used: Some(0.5) });
        tokio::time::sleep(5 * SECOND).await;
    }
    assert!(is_open(&market, "acme/m"));
    assert_eq!(
        membership.member().load(),
        Some(Load { running: 2, queued: 1, kv_used: Some(0.5) })
    );
    clock.advance(15 * SECOND);
    assert!(!is_open(&market, "acme/m"), "at once, before the writer has looked");
    let bye = bye(&membership).await;
    assert!(bye.retry && bye.reason.contains("heartbeat"), "{bye:?}");
    assert_eq!(membership.report().standing, Standing::Gone);
    shutdown.begin();
    writer.await.expect("the writer ends with the gateway");
}

#[tokio::test]
async fn a_newer_connection_takes_the_place_of_an_older_one() {
    let (market, _) = market("nodes_max = 1", &catalogue());
    let older = joined(&market, 1);
    let newer = joined(&market, 1);
    let bye = bye(&older).await;
    assert!(!bye.retry && bye.reason.contains("newer"), "{bye:?}");
    drop(older);
    market.publish();
    assert_eq!(providers(&market, "acme/m").len(), 1, "the older one's end takes nothing away");
    assert!(is_open(&market, "acme/m"));
    drop(newer);
    market.publish();
    assert!(providers(&market, "acme/m").is_empty());
    assert!(market.members().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_drains_gets_nothing_new_and_ends_in_time() {
    let (market, clock) = market("", &catalogue());
    let shutdown = Shutdown::new();
    shutdown.spawn(market.clone().run(shutdown.clone()));
    let membership = joined(&market, 1);
    membership.drain(10 * SECOND);
    assert_eq!(membership.member().standing(), Standing::Draining);
    assert!(!is_open(&market, "acme/m"));
    for _ in 0..5 {
        clock.advance(2 * SECOND);
        membership.heartbeat(Load::default());
    }
    assert_eq!(bye(&membership).await.reason, "drained");
    shutdown.begin();
}

#[tokio::test]
async fn who_was_sent_away_stays_away_until_readmitted() {
    let (market, _) = market("", &catalogue());
    let membership = joined(&market, 1);
    let node = membership.member().node;
    assert!(market.eject(&node, "sold another model"));
    market.publish();
    assert!(providers(&market, "acme/m").is_empty());
    let bye = bye(&membership).await;
    assert!(!bye.retry && bye.reason.contains("sold another model"), "{bye:?}");
    assert_eq!(membership.report().standing, Standing::Ejected);
    drop(membership);
    assert_eq!(refused(&Node::new(1, acme()), &market).code(), "ejected");
    assert!(market.readmit(&node) && !market.readmit(&node));
    joined(&market, 1);
    assert!(!market.eject(&Node::new(9, acme()).key.public(), "in advance"), "it is not here");
    assert_eq!(refused(&Node::new(9, acme()), &market).code(), "ejected");
}

#[tokio::test]
async fn a_node_that_is_sent_away_while_it_joins_is_gone_when_it_has_joined() {
    let (market, _) = market("", &catalogue());
    let node = Node::new(1, acme());
    let joining = node.ask(&market).expect("admitted");
    market.eject(&node.key.public(), "just then");
    let settings = crate::harness::settings(
        "",
        "[[upstream]]\nid = \"x\"\nbase_url = \"http://192.0.2.1/v1\"\nmodels = [{ id = \"x\" }]",
    );
    let endpoint =
        gateway::upstream::Endpoint::new(&settings.upstreams[0], &settings.limits).expect("one");
    let membership = market.attach(joining, std::sync::Arc::new(endpoint));
    market.publish();
    assert!(bye(&membership).await.reason.contains("just then"));
    assert!(providers(&market, "acme/m").is_empty());
}

#[tokio::test]
async fn what_is_known_of_a_node_is_there_when_it_comes_back() {
    let (market, _) = market("probation_answers = 3", &catalogue());
    let membership = joined(&market, 1);
    let member = membership.member().clone();
    assert_eq!(member.standing(), Standing::Probation);
    for _ in 0..2 {
        member.asked();
        member.answered(7);
    }
    for _ in 0..5 {
        member.asked();
        member.failed();
    }
    assert_eq!(member.standing(), Standing::Probation, "failures don't end it");
    drop(membership);
    let membership = joined(&market, 1);
    let report = membership.report();
    assert_eq!((report.requests, report.failures, report.tokens), (7, 5, 14));
    assert_eq!(report.standing, Standing::Probation, "nor does leaving");
    membership.member().answered(1);
    assert_eq!(membership.member().standing(), Standing::Active);
    drop(membership);
    assert_eq!(joined(&market, 1).member().standing(), Standing::Active);
}

#[tokio::test]
async fn a_region_that_was_refuted_is_not_claimed_twice() {
    let (market, _) = market("", &catalogue());
    let node = Node { region: Some("eu-west".to_owned()), ..Node::new(1, acme()) };
    let membership = node.join(&market, &url()).expect("joins");
    market.publish();
    market.refute_region(membership.member(), "there and back in 300 ms");
    market.publish();
    assert!(bye(&membership).await.reason.starts_with("region_refuted"));
    assert!(providers(&market, "acme/m").is_empty());
    let refused = refused(&node, &market);
    assert_eq!((refused.code(), refused.param()), ("region_refuted", Some("region")));
    let honest = Node { region: Some("us-east".to_owned()), ..Node::new(1, acme()) };
    honest.join(&market, &url()).expect("joins");
}

#[tokio::test]
async fn a_refuted_region_stays_refuted_however_it_is_written_and_whatever_came_after() {
    let (market, _) = market("", &catalogue());
    let claims = |region: &str| Node { region: Some(region.to_owned()), ..Node::new(1, acme()) };
    for region in ["eu-west", "us-east"] {
        let membership = claims(region).join(&market, &url()).expect("joins");
        market.refute_region(membership.member(), "there and back in 300 ms");
    }
    for region in ["us-east", "US-East", "eu-west", "EU-WEST"] {
        assert_eq!(refused(&claims(region), &market).code(), "region_refuted", "{region}");
    }
    let honest = claims("ap-east").join(&market, &url()).expect("joins");
    assert!(honest.member().known.forgive_region());
    claims("eu-west").join(&market, &url()).expect("an operator forgave it");
}

#[tokio::test]
async fn what_is_known_of_a_node_is_one_however_often_it_asks_at_once() {
    let (market, _) = market("", &catalogue());
    let node = Node::new(1, acme());
    let waits = node.ask(&market).expect("a place");
    let first = joined(&market, 1);
    first.member().failed();
    drop(first);
    let endpoint = gateway::upstream::Endpoint::new(
        &gateway::config::Upstream {
            id: waits.provider.to_string(),
            operator: waits.operator.to_string(),
            base_url: url(),
            api_key: None,
            region: None,
            allow_private: true,
            continues: false,
            dialect: gateway::request::Dialect::default(),
            models: Vec::new(),
        },
        &gateway::config::Limits::default(),
    );
    let second = market.attach(waits, endpoint.expect("an endpoint").into());
    assert_eq!(second.report().failures, 1);
}

#[tokio::test]
async fn a_load_that_can_not_be_is_not_believed() {
    let (market, _) = market("", &catalogue());
    let membership = joined(&market, 1);
    for kv_used in [-1.0, 1.5, f32::INFINITY] {
        membership.heartbeat(Load { running: 1, queued: 0, kv_used: Some(kv_used) });
        assert_eq!(membership.member().load().expect("told").kv_used, None, "{kv_used}");
    }
}

#[tokio::test]
async fn the_shortest_way_counts() {
    let (market, _) = market("", &catalogue());
    let membership = joined(&market, 1);
    assert_eq!(membership.report().rtt_ms, None);
    for ms in [40, 12, 80] {
        membership.way(Duration::from_millis(ms));
    }
    assert_eq!(membership.report().rtt_ms, Some(12.0));
}

/// Two connections of a node that was not known: what happens on one is not forgotten with the other.
#[tokio::test]
async fn a_place_kept_before_is_no_way_around_what_is_known() {
    let (market, _) = market("", &catalogue());
    let node = Node { region: Some("eu-west".to_owned()), ..Node::new(1, acme()) };
    let kept = node.ask(&market).expect("admitted");
    let membership = node.join(&market, &url()).expect("joins");
    membership.member().asked();
    membership.member().failed();
    market.refute_region(membership.member(), "there and back in 300 ms");
    drop(membership);
    let settings = crate::harness::settings(
        "",
        "[[upstream]]\nid = \"x\"\nbase_url = \"http://192.0.2.1/v1\"\nmodels = [{ id = \"x\" }]",
    );
    let endpoint =
        gateway::upstream::Endpoint::new(&settings.upstreams[0], &settings.limits).expect("one");
    let membership = market.attach(kept, std::sync::Arc::new(endpoint));
    assert_eq!(membership.report().failures, 1);
    assert!(bye(&membership).await.reason.starts_with("region_refuted"));
    market.publish();
    assert!(providers(&market, "acme/m").is_empty());
}
