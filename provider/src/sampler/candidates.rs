//! The candidates of a step: one pass over the row with a bounded buffer, no full sort.

use openapi::gumbel::CANDIDATES_MAX;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::Allowed;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) id: u32,
    pub(super) value: f64,
}

/// Best first: the higher value, then the lower id.
pub(super) fn order(a: &Candidate, b: &Candidate) -> Ordering {
    b.value.total_cmp(&a.value).then(a.id.cmp(&b.id))
}

pub(super) fn sort(candidates: &mut [Candidate]) {
    candidates.sort_unstable_by(order);
}

/// The [`CANDIDATES_MAX`] highest of row + bias, plus every biased id, in no order. With `allowed`,
/// only among the ids it lets pass.
pub(super) fn of(
    row: &[f32],
    bias: &BTreeMap<u32, f64>,
    allowed: Option<Allowed<'_>>,
) -> Vec<Candidate> {
    let mut biased = bias.iter().peekable();
    let mut extra = Vec::new();
    let values = (0u32..).zip(row).map(|(id, logit)| {
        let mut value = f64::from(*logit);
        if let Some((_, add)) = biased.next_if(|(at, _)| **at == id) {
            value += add;
            if value.is_finite() && allowed.is_none_or(|allowed| allowed(id)) {
                extra.push(Candidate { id, value });
            }
        }
        Candidate { id, value }
    });
    let mut best = highest(values, CANDIDATES_MAX, allowed);
    for candidate in extra {
        if !best.iter().any(|known| known.id == candidate.id) {
            best.push(candidate);
        }
    }
    best
}

/// The `n` best of `values`, whose ids ascend.
pub(super) fn highest(
    values: impl Iterator<Item = Candidate>,
    n: usize,
    allowed: Option<Allowed<'_>>,
) -> Vec<Candidate> {
    if n == 0 {
        return Vec::new();
    }
    let mut kept: Vec<Candidate> = Vec::with_capacity(2 * n);
    let mut bar = f64::NEG_INFINITY;
    for candidate in values {
        // Ids ascend, so an equal value later never beats one that is kept.
        if !candidate.value.is_finite() || candidate.value <= bar {
            continue;
        }
        if allowed.is_some_and(|allowed| !allowed(candidate.id)) {
            continue;
        }
        kept.push(candidate);
        if kept.len() == 2 * n {
            let (_, last, _) = kept.select_nth_unstable_by(n - 1, order);
            bar = last.value;
            kept.truncate(n);
        }
    }
    if kept.len() > n {
        kept.select_nth_unstable_by(n - 1, order);
        kept.truncate(n);
    }
    kept
}
