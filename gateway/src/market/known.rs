//! What is known of a node by its key, across its leases: it stays when the node leaves, and is there
//! when the node comes back, so that leaving is worth nothing. Numbers alone; never a prompt.

use arc_swap::{ArcSwap, ArcSwapOption};
use indexmap::IndexMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use super::evidence::Evidence;
use super::integrity::{Integrity, Verdicts};
use crate::route::{Learned, Prior};

/// Names under which it sold something unlisted: twice what it may sell at once. Beyond, the oldest is
/// forgotten. The catalogue bounds the listed ones.
const UNLISTED_MAX: usize = 2 * openapi::node::MODELS_MAX;
/// Refuted claims; from then on all are refused.
const REFUTED_MAX: usize = 64;

#[derive(Debug, Default)]
pub struct Known {
    requests: AtomicU64,
    answers: AtomicU64,
    failures: AtomicU64,
    tokens: AtomicU64,
    /// Of the latest offer that was in force.
    offer_sequence: AtomicU64,
    /// The claims that measurements refuted, the last one last.
    refuted_regions: ArcSwap<Vec<String>>,
    figures: ArcSwapOption<Figures>,
    /// By the name it is sold under.
    learned: Mutex<IndexMap<Arc<str>, Arc<Learned>>>,
    /// By the same name.
    integrity: Mutex<IndexMap<Arc<str>, Arc<Integrity>>>,
    pub evidence: Evidence,
}

/// What the gateway measured of a node. Absent: not yet.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// Tokens a second.
    pub prefill_tps: Option<f64>,
    pub decode_tps: Option<f64>,
    /// Whether it gives up what nobody waits for.
    pub cancels: Option<bool>,
}

impl Known {
    /// Requests sent there, measurements not among them.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Of them, those with a whole answer.
    pub fn answers(&self) -> u64 {
        self.answers.load(Relaxed)
    }

    /// Of them, those that the node failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// Tokens delivered.
    pub fn tokens(&self) -> u64 {
        self.tokens.load(Relaxed)
    }

    pub fn figures(&self) -> Figures {
        self.figures.load().as_deref().copied().unwrap_or_default()
    }

    pub fn set_figures(&self, figures: Figures) {
        self.figures.store(Some(Arc::new(figures)));
        #[expect(clippy::cast_possible_truncation, reason = "a speed")]
        let speed = figures.decode_tps.filter(|speed| *speed > 0.0).map(|speed| speed as f32);
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        speed.into_iter().for_each(|speed| learned.values().for_each(|one| one.measured(speed)));
    }

    /// What is learned of it by requests for the model of this name, now or on earlier leases.
    pub(super) fn learned(&self, name: &str, is_listed: bool, prior: &Prior) -> Arc<Learned> {
        let mut all = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(learned) = all.get(name) {
            return learned.clone();
        }
        if !is_listed && all.len() >= UNLISTED_MAX {
            // An unlisted name has the provider's in it.
            let oldest = all.keys().position(|name| name.contains('@'));
            oldest.into_iter().for_each(|at| drop(all.shift_remove_index(at)));
        }
        let learned = Arc::new(Learned::new(*prior));
        all.insert(name.into(), learned.clone());
        learned
    }

    /// What audits have shown of the model of this name, now or on earlier leases.
    pub fn integrity(&self, name: &str, is_listed: bool) -> Arc<Integrity> {
        let mut all = self.integrity.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(integrity) = all.get(name) {
            return integrity.clone();
        }
        if !is_listed && all.len() >= UNLISTED_MAX {
            let oldest = all.keys().position(|name| name.contains('@'));
            oldest.into_iter().for_each(|at| drop(all.shift_remove_index(at)));
        }
        let integrity = Arc::new(Integrity::default());
        all.insert(name.into(), integrity.clone());
        integrity
    }

    /// By name, all that audits have shown.
    pub fn verdicts(&self) -> Vec<(Arc<str>, Verdicts)> {
        let all = self.integrity.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(name, integrity)| (name.clone(), integrity.verdicts())).collect()
    }

    /// As it was kept, before the node is met.
    pub(super) fn remember(&self, name: &str, verdicts: Verdicts, unix_ms: u64) {
        let mut all = self.integrity.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(name.into(), Arc::new(Integrity::new(verdicts, unix_ms)));
    }

    /// Forgets the names under which nothing was ever asked of it, and that nobody holds any more: a crowd
    /// that only comes and goes leaves little behind.
    pub(super) fn forget_unused(&self) {
        let mut all = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        // Others are made only under this lock.
        all.retain(|_, learned| learned.used_ms() > 0 || Arc::strong_count(learned) > 1);
        all.shrink_to_fit();
        drop(all);
        let mut all = self.integrity.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, integrity| integrity.answers() > 0 || Arc::strong_count(integrity) > 1);
        all.shrink_to_fit();
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> usize {
        self.learned.lock().unwrap().len()
    }

    /// An operator lets the node come again.
    pub(super) fn readmitted(&self, now_ms: u64) {
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        learned.values().for_each(|one| one.readmitted(now_ms));
        let all = self.integrity.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().for_each(|integrity| integrity.readmitted());
    }

    pub(super) fn asked(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// How many there are now.
    pub(super) fn answered(&self, tokens: u64) -> u64 {
        self.tokens.fetch_add(tokens, Relaxed);
        self.answers.fetch_add(1, Relaxed) + 1
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    pub(super) fn offer_sequence(&self) -> u64 {
        self.offer_sequence.load(Relaxed)
    }

    pub(super) fn offered(&self, sequence: u64) {
        self.offer_sequence.fetch_max(sequence, Relaxed);
    }

    /// The last claim that was refuted.
    pub fn refuted_region(&self) -> Option<String> {
        self.refuted_regions.load().last().cloned()
    }

    /// Whether that claim was. Who was wrong too often is believed no claim.
    pub fn has_refuted(&self, region: &str) -> bool {
        let refuted = self.refuted_regions.load();
        refuted.len() >= REFUTED_MAX || refuted.iter().any(|one| one.eq_ignore_ascii_case(region))
    }

    /// Whether any had been refuted; they may be claimed again.
    pub fn forgive_region(&self) -> bool {
        !self.refuted_regions.swap(Arc::default()).is_empty()
    }

    pub(super) fn refute_region(&self, region: &str) {
        self.refuted_regions.rcu(|refuted| {
            let mut refuted = Vec::clone(refuted);
            refuted.retain(|one| !one.eq_ignore_ascii_case(region));
            refuted.push(region.to_owned());
            refuted
        });
    }
}
