//! Nodes that come and go without rest.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use crate::harness::{ask, content, gateway_with, stream, until};
use crate::node::{Dialed, Identity};

const ROUNDS: u64 = 16;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Four nodes that leave in every way as soon as they have come, beside one that stays: nobody's request
/// fails, and nothing is left.
#[tokio::test]
async fn nodes_that_come_and_go_without_rest_hurt_nobody_and_leave_nothing() {
    let gateway = Arc::new(gateway_with("attempts = 8", |_| {}).await);
    let staying = Identity::new(9).join(&gateway).await;
    gateway.until_offers(1).await;
    let before = descriptors();
    let mut flapping = Vec::new();
    for number in 1..=4_u8 {
        let gateway = gateway.clone();
        flapping.push(tokio::task::spawn(async move {
            let identity = Identity::new(number);
            for round in 0..ROUNDS {
                match (round + u64::from(number)) % 4 {
                    0 => drop(identity.join(&gateway).await),
                    1 => identity.join(&gateway).await.cut(),
                    2 => drop(Dialed::new(&gateway).await.welcome(&identity).await),
                    _ => {
                        let _older = identity.join(&gateway).await;
                        drop(identity.join(&gateway).await);
                    }
                }
            }
        }));
    }
    let mut asked = 0;
    while !flapping.iter().all(tokio::task::JoinHandle::is_finished) {
        let (status, _, text) = ask(gateway.addr(), stream("hello")).await;
        assert_eq!((status.as_u16(), content(&text).as_str()), (200, "hello"), "{text}");
        asked += 1;
    }
    for task in flapping {
        task.await.unwrap();
    }
    assert!(asked > 10 && staying.work.begun.load(SeqCst) > 0);
    gateway.until_offers(1).await;
    until(|| gateway.metrics().nodes.get() == 1).await;
    until(|| gateway.metrics().node_connections.get() == 1).await;
    assert_eq!(gateway.running.app.market.members_len(), 1);
    until(|| descriptors() <= before + 4).await;
}
