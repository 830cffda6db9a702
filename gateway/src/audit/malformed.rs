//! Whether a score can be one: what a scorer says has to be about what it was asked, finite, and in
//! itself possible. What is not is the scorer's fault, and judges nobody else.

use openapi::gumbel;
use openapi::verify::{MARGIN_MAX, Score, Scored};

/// Probabilities and logarithms are rounded on their way.
const SLACK: f64 = 1e-3;

/// What a scorer was asked.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    pub nonce: &'a str,
    pub weights_id: &'a str,
    /// Of the choice, all of them.
    pub ids: &'a [u32],
    /// Ascending; absent: all.
    pub positions: Option<&'a [u32]>,
}

/// Why a score is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("it answers another request")]
    Nonce,
    #[error("it is of other weights than asked for")]
    Weights,
    #[error("it scores other tokens than asked for")]
    Positions,
    #[error("a number in it is none, or out of its range")]
    Number,
    #[error("its numbers contradict each other")]
    Contradiction,
}

// === impl Order ===

impl Order<'_> {
    /// # Errors
    /// Why what the scorer says is no score.
    pub fn check(&self, scored: &Scored) -> Result<(), Malformed> {
        if scored.nonce != self.nonce {
            return Err(Malformed::Nonce);
        }
        if scored.weights_id != self.weights_id {
            return Err(Malformed::Weights);
        }
        if !self.is_met(&scored.scores) {
            return Err(Malformed::Positions);
        }
        let canonical = scored.sampler == gumbel::NAME;
        scored.scores.iter().try_for_each(|score| possible(score, canonical))
    }

    fn is_met(&self, scores: &[Score]) -> bool {
        let all = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        let is_of = |at: u32, score: &Score| {
            let id = usize::try_from(at).ok().and_then(|at| self.ids.get(at));
            score.i == at && Some(&score.id) == id
        };
        match self.positions {
            Some(positions) => {
                scores.len() == positions.len()
                    && positions.iter().zip(scores).all(|(at, score)| is_of(*at, score))
            }
            None => {
                scores.len() == self.ids.len()
                    && (0..all).zip(scores).all(|(at, score)| is_of(at, score))
            }
        }
    }
}

fn possible(score: &Score, canonical: bool) -> Result<(), Malformed> {
    let is_log = |lp: f64| lp.is_finite() && lp <= SLACK;
    let is_share = |p: f64| (-SLACK..=1.0 + SLACK).contains(&p);
    let logs = is_log(score.lp) && is_log(score.eos_lp) && score.top.iter().all(|t| is_log(t.1));
    let margin = score.margin.is_none_or(|margin| (0.0..=MARGIN_MAX).contains(&margin));
    if !logs || !margin || !is_share(score.above) || !is_share(score.own) {
        return Err(Malformed::Number);
    }
    if score.margin.is_some() != canonical || score.above + score.own > 1.0 + SLACK {
        return Err(Malformed::Contradiction);
    }
    consistent(score)
}

/// A list of the likeliest is in order, no more than everything, and knows the token where its rank says so.
fn consistent(score: &Score) -> Result<(), Malformed> {
    let top = &score.top;
    let ordered = top.windows(2).all(|pair| match pair {
        [a, b] => a.1 >= b.1 - SLACK,
        _ => true,
    });
    let all: f64 = top.iter().map(|(_, lp)| lp.exp()).sum();
    let best = top.first().is_none_or(|(_, lp)| score.lp <= lp + SLACK);
    let at = usize::try_from(score.rank).ok().and_then(|rank| top.get(rank));
    let ranked = at.is_none_or(|(_, lp)| (lp - score.lp).abs() <= SLACK);
    match ordered && all <= 1.0 + SLACK && best && ranked {
        true => Ok(()),
        false => Err(Malformed::Contradiction),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing::{order, scored};

    const IDS: [u32; 3] = [5, 6, 7];

    fn check(change: impl FnOnce(&mut Scored)) -> Result<(), Malformed> {
        let mut scored = scored(&IDS);
        change(&mut scored);
        order(&IDS).check(&scored)
    }

    #[test]
    fn a_score_is_of_what_was_asked() {
        assert_eq!(check(|_| ()), Ok(()));
        assert_eq!(check(|it| it.nonce.clear()), Err(Malformed::Nonce));
        assert_eq!(check(|it| it.weights_id.clear()), Err(Malformed::Weights));
        assert_eq!(check(|it| it.scores[1].id = 9), Err(Malformed::Positions));
        assert_eq!(check(|it| it.scores[1].i = 2), Err(Malformed::Positions));
        assert_eq!(check(|it| it.scores.truncate(2)), Err(Malformed::Positions));
        let order = Order { positions: Some(&[0, 2]), ..order(&IDS) };
        let mut some = scored(&IDS);
        some.scores.remove(1);
        assert_eq!(order.check(&some), Ok(()));
        assert_eq!(order.check(&scored(&IDS)), Err(Malformed::Positions));
        let beyond = Order { positions: Some(&[0, 3]), ..order };
        assert_eq!(beyond.check(&some), Err(Malformed::Positions));
    }

    #[test]
    fn numbers_that_are_none_never_pass() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1] {
            assert_eq!(check(|it| it.scores[0].lp = bad), Err(Malformed::Number), "{bad}");
            assert_eq!(check(|it| it.scores[2].eos_lp = bad), Err(Malformed::Number), "{bad}");
            assert_eq!(check(|it| it.scores[2].top[0].1 = bad), Err(Malformed::Number), "{bad}");
        }
        for bad in [f64::NAN, -1.0, MARGIN_MAX + 1.0] {
            assert_eq!(
                check(|it| it.scores[0].margin = Some(bad)),
                Err(Malformed::Number),
                "{bad}"
            );
        }
        for bad in [f64::NAN, -0.5, 1.5] {
            assert_eq!(check(|it| it.scores[0].own = bad), Err(Malformed::Number), "{bad}");
            assert_eq!(check(|it| it.scores[0].above = bad), Err(Malformed::Number), "{bad}");
        }
    }

    #[test]
    fn a_score_does_not_contradict_itself() {
        type Change = fn(&mut Scored);
        let changes: [Change; 6] = [
            |it| it.scores[0].margin = None,
            |it| it.sampler = "other".to_owned(),
            |it| (it.scores[0].above, it.scores[0].own) = (0.9, 0.9),
            |it| it.scores[0].top.reverse(),
            |it| it.scores[0].lp = -0.2,
            |it| it.scores[0].top = vec![(5, -0.5), (6, -0.6)],
        ];
        for (at, change) in changes.into_iter().enumerate() {
            assert_eq!(check(change), Err(Malformed::Contradiction), "{at}");
        }
    }
}
