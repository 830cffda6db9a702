//! Natural logarithms of the model's own distribution: the raw row, T = 1, nothing added or masked.

use super::candidates::{self, Candidate};

/// Of one token, with the likeliest alternatives in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Logprob {
    pub value: f64,
    pub top: Vec<(u32, f64)>,
}

/// Of `id`, with the `k` likeliest ids of the row. A value that is no number counts as nothing.
pub(super) fn of(row: &[f32], id: u32, k: usize) -> Logprob {
    let finite = || row.iter().filter(|logit| logit.is_finite()).map(|logit| f64::from(*logit));
    let max = finite().fold(f64::NEG_INFINITY, f64::max);
    let total = max + finite().map(|logit| (logit - max).exp()).sum::<f64>().ln();
    let own = usize::try_from(id).ok().and_then(|at| row.get(at)).map_or(f64::NAN, |l| (*l).into());
    let values = (0u32..).zip(row).map(|(id, logit)| Candidate { id, value: f64::from(*logit) });
    let mut top = candidates::highest(values, k, None);
    candidates::sort(&mut top);
    Logprob { value: own - total, top: top.into_iter().map(|c| (c.id, c.value - total)).collect() }
}
