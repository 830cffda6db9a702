//! Scorers are checked with answers of which the gateway knows what to expect: one that passed, and the same
//! with its tokens in another order. A scorer that computes nothing says the same of both, or what does not
//! hold together. A canary is asked for as any audit is, so that it can't be recognised.

use openapi::verify::Scored;

use super::profile::{Band, Thresholds};
use super::{Answer, Figures, Order};
use crate::route::Random;

/// Of an answer with fewer tokens nothing can be expected.
pub const TOKENS_MIN: usize = 64;

/// The same tokens in another order: Fisher and Yates' shuffle. Every token is one of the model's.
pub fn spoilt(ids: &[u32], random: &mut Random) -> Vec<u32> {
    let mut spoilt = ids.to_vec();
    for at in (1..spoilt.len()).rev() {
        spoilt.swap(at, random.below(at + 1));
    }
    spoilt
}

/// Whether the scorer finds out that an answer was spoilt: by margins or distances at least grey, since an
/// answer of one token over and over stays what it is. `answer` is the good one. A malformed score is wrong.
pub fn is_found(
    answer: &Answer<'_>,
    order: &Order<'_>,
    scored: &Scored,
    thresholds: &Thresholds,
    random: &mut Random,
) -> bool {
    if order.check(scored).is_err() {
        return false;
    }
    let figures = Figures::new(answer, scored, random);
    figures.is_some_and(|figures| thresholds.of(&figures.sums) > Band::Pass)
}

/// Whether an answer changes enough by this to be a canary.
pub fn is_of_use(ids: &[u32], spoilt: &[u32]) -> bool {
    let moved = ids.iter().zip(spoilt).filter(|(a, b)| a != b).count();
    ids.len() >= TOKENS_MIN && 2 * moved >= ids.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing::{Case, order, scored};

    #[test]
    fn a_spoilt_answer_has_the_same_tokens_elsewhere() {
        let ids: Vec<u32> = (0..100).collect();
        let spoilt = spoilt(&ids, &mut Random::new(1));
        let mut sorted = spoilt.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, ids);
        assert!(is_of_use(&ids, &spoilt));
        assert!(!is_of_use(&ids[..10], &spoilt[..10]), "too short");
        assert!(!is_of_use(&[5; 100], &[5; 100]), "of one token");
    }

    #[test]
    fn a_scorer_that_computes_nothing_does_not_find_it() {
        let case = Case::honest(100);
        let spoilt = spoilt(&case.ids[0], &mut Random::new(1));
        let lazy = scored(&spoilt);
        let found = |scored: &Scored| {
            let table = &Thresholds::SAME_ENGINE;
            is_found(&case.answer(), &order(&spoilt), scored, table, &mut Random::new(1))
        };
        assert!(!found(&lazy));
        let mut honest = lazy.clone();
        for score in &mut honest.scores {
            (score.lp, score.margin, score.rank) = (-7.0, Some(6.0), 50);
        }
        assert!(found(&honest));
        honest.scores[3].lp = f64::NAN;
        assert!(!found(&honest));
    }
}
