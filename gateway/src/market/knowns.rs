//! What is known of every node, those that left included, of which the oldest are forgotten first. Who
//! was sent away is remembered apart, so that nobody is forgiven by others' coming and going.

use indexmap::IndexMap;
use openapi::sign::PublicKey;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::known::Known;

#[derive(Debug)]
pub(super) struct Knowns {
    all: HashMap<PublicKey, Record>,
    /// Nodes that left, by when.
    gone: BTreeMap<u64, PublicKey>,
    gone_max: usize,
    next: u64,
    ejected: IndexMap<PublicKey, Arc<str>>,
}

#[derive(Debug)]
struct Record {
    known: Arc<Known>,
    /// In `gone`.
    gone: Option<u64>,
}

/// Nodes sent away; beyond, the one that was sent away first is forgotten.
const EJECTED_MAX: usize = 65_536;

/// After so many more have left, hardly anybody holds on to what was made for a node.
const SETTLED: u64 = 256;

// === impl Knowns ===

impl Knowns {
    pub(super) fn new(gone_max: usize) -> Self {
        let (all, gone, ejected) = (HashMap::new(), BTreeMap::new(), IndexMap::new());
        Self { all, gone, gone_max, next: 0, ejected }
    }

    pub(super) fn get(&self, node: &PublicKey) -> Option<&Arc<Known>> {
        self.all.get(node).map(|record| &record.known)
    }

    /// Of a node that asks to come in, once or several times at once: all that it becomes shares it.
    pub(super) fn asked(&mut self, node: &PublicKey) -> Arc<Known> {
        if let Some(known) = self.get(node) {
            return known.clone();
        }
        let known = Arc::default();
        self.here(*node, &known);
        self.left(node);
        known
    }

    /// Of a node that is here now.
    pub(super) fn here(&mut self, node: PublicKey, known: &Arc<Known>) {
        let record = Record { known: known.clone(), gone: None };
        if let Some(stamp) = self.all.insert(node, record).and_then(|earlier| earlier.gone) {
            self.gone.remove(&stamp);
        }
    }

    pub(super) fn left(&mut self, node: &PublicKey) {
        let Some(record) = self.all.get_mut(node).filter(|record| record.gone.is_none()) else {
            return;
        };
        record.gone = Some(self.next);
        self.gone.insert(self.next, *node);
        if let Some(earlier) = self.next.checked_sub(SETTLED).and_then(|at| self.gone.get(&at)) {
            self.all.get(earlier).into_iter().for_each(|record| record.known.forget_unused());
        }
        self.next += 1;
        while self.gone.len() > self.gone_max {
            if let Some((_, oldest)) = self.gone.pop_first() {
                self.all.remove(&oldest);
            }
        }
    }

    pub(super) fn eject(&mut self, node: PublicKey, reason: &str) {
        if self.ejected.len() >= EJECTED_MAX {
            self.ejected.shift_remove_index(0);
        }
        self.ejected.insert(node, reason.into());
    }

    /// Whether it had been sent away.
    pub(super) fn readmit(&mut self, node: &PublicKey) -> bool {
        self.ejected.shift_remove(node).is_some()
    }

    pub(super) fn ejected(&self, node: &PublicKey) -> Option<&Arc<str>> {
        self.ejected.get(node)
    }

    pub(super) fn all_ejected(&self) -> impl Iterator<Item = (&PublicKey, &Arc<str>)> {
        self.ejected.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Ask, Flight, Prefix, Prior, Values};

    fn key(number: u8) -> PublicKey {
        PublicKey::from_bytes([number; 32])
    }

    #[test]
    fn who_left_first_is_forgotten_first_and_who_is_here_never() {
        let mut knowns = Knowns::new(2);
        for number in 0..4 {
            knowns.here(key(number), &Arc::default());
        }
        for number in [1, 0, 2] {
            knowns.left(&key(number));
        }
        let is_known = |knowns: &Knowns| [0, 1, 2, 3].map(|n| knowns.get(&key(n)).is_some());
        assert_eq!(is_known(&knowns), [true, false, true, true]);
        let back = knowns.get(&key(0)).unwrap().clone();
        knowns.here(key(0), &back);
        knowns.left(&key(3));
        knowns.left(&key(3));
        assert_eq!(is_known(&knowns), [true, false, true, true]);
        for _ in 0..1000 {
            knowns.here(key(0), &back);
            knowns.left(&key(0));
        }
        assert_eq!(knowns.gone.len(), 2, "coming and going makes nothing grow");
    }

    #[test]
    fn a_crowd_that_comes_and_goes_unused_leaves_no_names() {
        let mut knowns = Knowns::new(10_000);
        let prior = Prior::default();
        let mut numbers = (0u16..).map(|number| {
            let mut bytes = [7; 32];
            bytes[..2].copy_from_slice(&number.to_le_bytes());
            PublicKey::from_bytes(bytes)
        });
        let used = numbers.next().unwrap();
        let learned = knowns.asked(&used).learned("one@used", false, &prior);
        learned.told(1, 1);
        let ask = Ask { prompt_tokens: 1.0, answer_tokens: 1.0, values: Values::default() };
        let facts = learned.facts(&ask, &Prefix::default(), 1);
        drop(Flight::begin(&learned, &facts, &ask, Prefix::default(), 1, false));
        let held = numbers.next().unwrap();
        let holding = knowns.asked(&held).learned("one@held", false, &prior);
        for node in numbers.take(1_000) {
            let known = knowns.asked(&node);
            for name in 0..64 {
                known.learned(&format!("{name}@node"), false, &prior);
            }
        }
        let names: usize = knowns.all.values().map(|record| record.known.names()).sum();
        assert!(names <= 257 * 64 + 2, "{names}");
        for (node, wanted) in [(&used, &learned), (&held, &holding)] {
            let known = knowns.get(node).unwrap();
            assert_eq!(known.names(), 1);
            assert!(Arc::ptr_eq(&known.learned(known_name(node, &used), false, &prior), wanted));
        }
    }

    fn known_name(node: &PublicKey, used: &PublicKey) -> &'static str {
        if node == used { "one@used" } else { "one@held" }
    }

    #[test]
    fn who_was_sent_away_stays_so() {
        let mut knowns = Knowns::new(1);
        knowns.eject(key(9), "why");
        for number in 0..9 {
            knowns.here(key(number), &Arc::default());
            knowns.left(&key(number));
        }
        assert_eq!(knowns.ejected(&key(9)).map(|why| &**why), Some("why"));
        assert!(knowns.readmit(&key(9)) && !knowns.readmit(&key(9)));
    }
}
