//! Natural logarithms of the model's own distribution: the raw row, T = 1, nothing added or masked.

use super::candidates::{self, Candidate};
use super::softmax::log_sum_exp;

/// Of one token, with the likeliest alternatives in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Logprob {
    pub value: f64,
    pub top: Vec<(u32, f64)>,
}

/// One row's distribution. A value that is no number counts as nothing.
#[derive(Debug, Clone, Copy)]
pub struct Distribution<'a> {
    row: &'a [f32],
    /// Logarithm of the sum of all.
    total: f64,
}

// === impl Distribution ===

impl<'a> Distribution<'a> {
    pub fn new(row: &'a [f32]) -> Self {
        Self { row, total: log_sum_exp(row) }
    }

    /// NaN of an id beyond the row.
    pub fn logprob(&self, id: u32) -> f64 {
        self.logit(id).map_or(f64::NAN, |logit| f64::from(logit) - self.total)
    }

    /// How many ids are likelier.
    pub fn rank(&self, id: u32) -> u32 {
        let own = self.logit(id).filter(|own| !own.is_nan()).unwrap_or(f32::NEG_INFINITY);
        let above = self.row.iter().filter(|logit| logit.is_finite() && **logit > own).count();
        u32::try_from(above).unwrap_or(u32::MAX)
    }

    /// The likeliest of these ids.
    pub fn best(&self, ids: &[u32]) -> Option<u32> {
        let values = ids.iter().map(|id| (*id, self.logit(*id).unwrap_or(f32::NEG_INFINITY)));
        values.reduce(|a, b| if b.1 > a.1 { b } else { a }).map(|(id, _)| id)
    }

    /// The `k` likeliest ids, in order.
    pub fn top(&self, k: usize) -> Vec<(u32, f64)> {
        let values =
            (0u32..).zip(self.row).map(|(id, logit)| Candidate { id, value: f64::from(*logit) });
        let mut top = candidates::highest(values, k, None);
        candidates::sort(&mut top);
        top.into_iter().map(|top| (top.id, top.value - self.total)).collect()
    }

    fn logit(&self, id: u32) -> Option<f32> {
        usize::try_from(id).ok().and_then(|at| self.row.get(at)).copied()
    }
}

// === impl Logprob ===

impl Logprob {
    /// Of `id`, with the `k` likeliest ids of the row.
    pub(super) fn of(row: &[f32], id: u32, k: usize) -> Self {
        let distribution = Distribution::new(row);
        Self { value: distribution.logprob(id), top: distribution.top(k) }
    }
}
