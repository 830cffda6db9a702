//! What one request may spend, over all of its models: attempts, second ones at late providers among
//! them, and money. Time is its deadline. Pure.

use super::request::Job;
use crate::config::{Hedging, Limits};

#[derive(Debug)]
pub(super) struct Purse {
    attempts: u32,
    /// Of them, those that this model may have.
    here: u32,
    /// A model whose providers are full is waited for.
    pub(super) may_wait: bool,
    /// Providers that may be asked beside others.
    pub(super) hedges: u32,
    /// Dollars that the attempts so far cost, about.
    spent: f64,
    money_max: Option<f64>,
}

/// Ways that were gone and don't count as attempts: any number of nodes may leave at once, and a request
/// is to find one that has not.
const GONE_MAX: u32 = 32;

// === impl Purse ===

impl Purse {
    pub(super) fn new(limits: &Limits, hedging: &Hedging, job: &Job) -> Self {
        let policy = job.wanted.first().and_then(|wanted| wanted.policy.as_deref());
        Self {
            attempts: limits.attempts,
            here: limits.attempts,
            may_wait: job.wanted.len() == 1,
            hedges: if hedging.enabled { job.hedges_max() } else { 0 },
            spent: 0.0,
            money_max: policy.and_then(|policy| policy.max_price.request),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.attempts == 0
    }

    /// Whether this model may have two attempts.
    pub(super) fn has_two(&self) -> bool {
        self.here > 1
    }

    /// The next model's turn; each of those `to_come` keeps one attempt, as far as they go.
    pub(super) fn next_model(&mut self, to_come: usize) {
        let kept = u32::try_from(to_come).unwrap_or(u32::MAX);
        self.here = self.attempts.saturating_sub(kept).max(1).min(self.attempts);
    }

    /// Whether another attempt is left, for so many dollars.
    pub(super) fn allows(&self, dollars: f64) -> bool {
        self.here > 0 && self.money_max.is_none_or(|max| self.spent + dollars <= max)
    }

    /// An attempt is made that costs so many dollars if it comes to nothing.
    pub(super) fn take(&mut self, dollars: f64) {
        self.attempts = self.attempts.saturating_sub(1);
        self.here = self.here.saturating_sub(1);
        self.spent += dollars;
    }

    /// Nothing was sent; it was the `nth` of this kind.
    pub(super) fn give_back(&mut self, dollars: f64, nth: u32) {
        if nth <= GONE_MAX {
            self.attempts += 1;
            self.here += 1;
            self.spent -= dollars;
        }
    }
}
