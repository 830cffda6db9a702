//! What audits have shown of a node, for the model it sells under one name: it outlives the lease, as all
//! that is known of a node's key does. Requests read one number of it, the share of answers that are checked.

use openapi::sign::PublicKey;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::audit::cusum::Cusum;
use crate::audit::rate;
use crate::reputation;

/// Shared by all offers of the node for the model.
#[derive(Debug)]
pub struct Integrity {
    /// Of its answers, those that are checked: the bits of an f64.
    share: AtomicU64,
    /// It is at least so honest, with 95 %: the bits of an f64.
    lower: AtomicU64,
    /// Whole answers of it so far.
    answers: AtomicU64,
    verdicts: Mutex<Verdicts>,
}

/// What is kept of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdicts {
    pub integrity: reputation::Integrity,
    pub cusum: Cusum,
    /// Answers of the node so far, audited or not.
    pub answers: u64,
    pub passes: u64,
    pub fails: u64,
}

/// What outlives the process of one node's one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    pub node: PublicKey,
    /// Under which it is sold.
    pub model: String,
    pub verdicts: Verdicts,
}

/// What becomes of a verdict.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Booked {
    pub verdicts: Verdicts,
    /// Too many fails: it is to be sent away.
    pub is_over: bool,
}

// === impl Integrity ===

impl Default for Integrity {
    fn default() -> Self {
        Self::new(Verdicts::default(), 0)
    }
}

impl Integrity {
    /// As it was kept. `unix_ms`: now.
    pub fn new(verdicts: Verdicts, unix_ms: u64) -> Self {
        let integrity = Self {
            share: AtomicU64::new(0),
            lower: AtomicU64::new(0),
            answers: AtomicU64::new(verdicts.answers),
            verdicts: Mutex::new(verdicts),
        };
        integrity.publish(&verdicts, unix_ms);
        integrity
    }

    /// Share of the node's answers that are checked, 0 to 1, once it is no newcomer.
    pub fn share(&self) -> f64 {
        f64::from_bits(self.share.load(Relaxed))
    }

    /// The 5 % lower quantile of its integrity, 0 to 1, as of the last verdict. Who is new has proved next to
    /// nothing.
    pub fn lower(&self) -> f64 {
        f64::from_bits(self.lower.load(Relaxed))
    }

    /// Whole answers of the node so far, of this and earlier leases.
    pub fn answers(&self) -> u64 {
        self.answers.load(Relaxed)
    }

    /// A whole answer came.
    pub fn answered(&self) {
        self.answers.fetch_add(1, Relaxed);
    }

    /// One confirmed verdict.
    pub fn judged(&self, is_fail: bool, unix_ms: u64) -> Booked {
        let mut verdicts = self.lock();
        verdicts.integrity.take(is_fail, unix_ms);
        let is_over = verdicts.cusum.take(is_fail);
        match is_fail {
            true => verdicts.fails = verdicts.fails.saturating_add(1),
            false => verdicts.passes = verdicts.passes.saturating_add(1),
        }
        verdicts.answers = self.answers.load(Relaxed);
        self.publish(&verdicts, unix_ms);
        Booked { verdicts: *verdicts, is_over }
    }

    /// An operator lets the node come again: what made it go counts no more, the verdicts do.
    pub fn readmitted(&self) {
        self.lock().cusum = Cusum::default();
    }

    pub fn verdicts(&self) -> Verdicts {
        let verdicts = *self.lock();
        Verdicts { answers: self.answers.load(Relaxed), ..verdicts }
    }

    fn publish(&self, verdicts: &Verdicts, unix_ms: u64) {
        let lower = verdicts.integrity.lower(unix_ms);
        let share = rate::rate(lower, u64::MAX);
        self.share.store(share.to_bits(), Relaxed);
        self.lower.store(lower.to_bits(), Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Verdicts> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_proves_honest_is_checked_ever_less() {
        let integrity = Integrity::default();
        assert!(integrity.share() > 0.9);
        for _ in 0..rate::FIRST_REQUESTS {
            integrity.judged(false, 1);
        }
        let known = integrity.share();
        assert!(known < 0.3, "{known}");
        for _ in 0..500 {
            integrity.judged(false, 1);
        }
        assert!(integrity.share() < known && integrity.share() >= rate::RATE_MIN);
    }

    #[test]
    fn fails_add_up_to_a_quarantine_and_outlive_a_restart() {
        let integrity = Integrity::default();
        let over = (0..10).map(|_| integrity.judged(true, 1).is_over).position(|over| over);
        assert_eq!(over, Some(3), "the fourth in a row");
        let kept = serde_json::to_string(&integrity.verdicts()).unwrap();
        let again = Integrity::new(serde_json::from_str(&kept).unwrap(), 1);
        assert_eq!(again.verdicts(), integrity.verdicts());
        again.readmitted();
        assert!(!again.judged(false, 2).is_over);
    }
}
