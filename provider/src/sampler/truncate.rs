//! `top_k`, `top_p` and `min_p` on candidates in order, best first, already divided by T. Each keeps
//! at least the best one.

use super::candidates::Candidate;

/// 0 is off.
pub(super) fn top_k(candidates: &mut Vec<Candidate>, k: u32) {
    if k > 0 {
        candidates.truncate(usize::try_from(k).unwrap_or(usize::MAX));
    }
}

/// Keeps the shortest prefix whose share of the probability reaches `p`. 1 is off.
pub(super) fn top_p(candidates: &mut Vec<Candidate>, p: f64) {
    if p >= 1.0 {
        return;
    }
    let weights = weights(candidates);
    let enough = p * weights.iter().sum::<f64>();
    let mut sum = 0.0;
    let keep = weights.iter().take_while(|weight| {
        let before = sum;
        sum += **weight;
        before < enough
    });
    let keep = keep.count().max(1);
    candidates.truncate(keep);
}

/// Keeps those at least `p` times as likely as the best one. 0 is off.
pub(super) fn min_p(candidates: &mut Vec<Candidate>, p: f64) {
    if p <= 0.0 {
        return;
    }
    let keep = weights(candidates).iter().take_while(|weight| **weight >= p).count().max(1);
    candidates.truncate(keep);
}

/// Probabilities up to one factor: the best one has 1.
pub(super) fn weights(candidates: &[Candidate]) -> Vec<f64> {
    let Some(best) = candidates.first() else { return Vec::new() };
    candidates.iter().map(|candidate| (candidate.value - best.value).exp()).collect()
}
