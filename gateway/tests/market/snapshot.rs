//! The writer: what it shares, and that nobody waits for it.

use gateway::market::testing::{Node, served};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use crate::harness::{acme, catalogue, market, url};

#[test]
fn a_model_that_has_not_changed_is_the_same_in_the_next_snapshot() {
    let more = format!(
        "{}[[model]]\nid = \"other\"\nweights_ids = [\"b3:{}\"]\n",
        catalogue(),
        "c3".repeat(32)
    );
    let (market, _) = market("", &more);
    let _first = Node::new(1, acme()).join(&market, &url()).expect("joins");
    market.publish();
    let before = market.snapshot().model("acme/m").expect("sold").clone();
    let weights = format!("b3:{}", "c3".repeat(32));
    let _second =
        Node::new(2, vec![served("other", Some(&weights))]).join(&market, &url()).expect("joins");
    assert!(market.publish());
    let snapshot = market.snapshot();
    assert!(Arc::ptr_eq(&before, snapshot.model("acme/m").expect("sold")));
    assert_eq!(snapshot.model("other").expect("sold").offers.len(), 1);
    assert_eq!(snapshot.endpoints().len(), 2);
    assert!(!market.publish(), "nothing has changed since");
}

#[test]
fn the_ring_is_the_same_for_who_stays() {
    let (market, _) = market("", &catalogue());
    let mut members: Vec<_> = (0..40)
        .map(|number| Node::new(number, acme()).join(&market, &url()).expect("joins"))
        .collect();
    market.publish();
    let first_of = |key: u64| {
        let snapshot = market.snapshot();
        let model = snapshot.model("acme/m").expect("sold").clone();
        let place = model.ring.from(key).next().expect("somebody");
        model.offers[place].endpoint.id.to_string()
    };
    let keys: Vec<u64> = (0..1000u64).map(|key| key.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
    let before: Vec<String> = keys.iter().map(|key| first_of(*key)).collect();
    let gone = members.pop().expect("one").member().provider.to_string();
    market.publish();
    let mut moved = 0;
    for (key, was) in keys.iter().zip(&before) {
        let is = first_of(*key);
        assert!(is == *was || *was == gone, "only the prompts of who left move");
        moved += usize::from(is != *was);
    }
    assert!(moved > 0 && moved < 200, "{moved}");
    let snapshot = market.snapshot();
    let model = snapshot.model("acme/m").expect("sold");
    let mut all: Vec<usize> = model.ring.from(7).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 39, "round the ring everybody is met");
}

#[test]
fn readers_see_whole_snapshots_while_the_writer_works() {
    let (market, _) = market("", &catalogue());
    let _members: Vec<_> = (0..200)
        .map(|number| Node::new(number, acme()).join(&market, &url()).expect("joins"))
        .collect();
    market.publish();
    let (is_over, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    let (started, has_started) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            started.send(()).expect("awaited");
            while !is_over.load(Ordering::Relaxed) {
                let snapshot = market.snapshot();
                let offers = snapshot.model("acme/m").expect("always there").offers.len();
                assert!((200..=201).contains(&offers), "never half a snapshot: {offers}");
                reads.fetch_add(1, Ordering::Relaxed);
            }
        });
        has_started.recv().expect("started");
        let mut rebuilds = 0;
        // As many as it takes until the reader has read a hundred times meanwhile.
        while rebuilds < 100 || reads.load(Ordering::Relaxed) < 100 {
            let member = Node::new(1000, acme()).join(&market, &url()).expect("joins");
            market.publish();
            drop(member);
            market.publish();
            rebuilds += 1;
        }
        is_over.store(true, Ordering::Relaxed);
    });
}
