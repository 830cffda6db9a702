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

// === impl Knowns ===

impl Knowns {
    pub(super) fn new(gone_max: usize) -> Self {
        let (all, gone, ejected) = (HashMap::new(), BTreeMap::new(), IndexMap::new());
        Self { all, gone, gone_max, next: 0, ejected }
    }

    pub(super) fn get(&self, node: &PublicKey) -> Option<&Arc<Known>> {
        self.all.get(node).map(|record| &record.known)
    }

    /// Of a node that is here now.
    pub(super) fn here(&mut self, node: PublicKey, known: &Arc<Known>) {
        let record = Record { known: known.clone(), gone: None };
        if let Some(stamp) = self.all.insert(node, record).and_then(|earlier| earlier.gone) {
            self.gone.remove(&stamp);
        }
    }

    /// Of a node that may come: whatever it is called to account for meanwhile is there when it does.
    pub(super) fn met(&mut self, node: PublicKey, known: &Arc<Known>) {
        if !self.all.contains_key(&node) {
            self.here(node, known);
            self.left(&node);
        }
    }

    pub(super) fn left(&mut self, node: &PublicKey) {
        let Some(record) = self.all.get_mut(node).filter(|record| record.gone.is_none()) else {
            return;
        };
        record.gone = Some(self.next);
        self.gone.insert(self.next, *node);
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
