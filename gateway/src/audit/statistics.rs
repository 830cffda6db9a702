//! The figures of one audit, and their sums: how far claimed and scored log-probabilities lie apart (S1),
//! how far the tokens lie from those that the canonical sampler draws (S3), what is hardly possible (S4),
//! and whether an unknown sampler drew as asked (S7, `uniformity`). They judge nothing.
//!
//! The mean log-likelihood tells an honest answer from a 4-bit model's by hardly anything: a diagnostic.

pub mod uniformity;

use openapi::chat::FinishReason;
use openapi::gumbel;
use openapi::verify::{Score, Scored};
use serde::{Deserialize, Serialize};

use super::Answer;
use super::termination;
use crate::route::Random;
pub use uniformity::Uniformity;

/// A difference counts as this much at most: one token decides nothing.
const DISTANCE_MAX: f64 = 1.0;
const FAR: f64 = 0.5;
/// The token that the sampler draws has no margin but rounding.
const MARGIN_NONE: f64 = 1e-9;
/// S4: log-probabilities that hardly come up, and that come up a few times at most.
const NEVER: f64 = -13.0;
const SELDOM: f64 = -8.0;

/// What is added up over tokens, so that short answers can be judged together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sums {
    /// Scored ones.
    pub tokens: u32,
    distance: f64,
    far: u32,
    /// Tokens of which a margin is known and counts.
    margins: u32,
    margin: f64,
    zero: u32,
    claimed: f64,
    scored: f64,
}

/// Of one audit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    pub sums: Sums,
    /// Tokens of a log-probability of −13 and less, and of −8 and less, that were not to be drawn.
    pub never: u32,
    pub seldom: u32,
    /// Tokens in the place of a likely end.
    pub skipped_ends: u32,
    /// Of a sampler that is not the canonical one, at T > 0.
    pub uniformity: Option<Uniformity>,
}

// === impl Sums ===

impl Sums {
    pub fn add(&mut self, other: &Self) {
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.distance += other.distance;
        self.far = self.far.saturating_add(other.far);
        self.margins = self.margins.saturating_add(other.margins);
        self.margin += other.margin;
        self.zero = self.zero.saturating_add(other.zero);
        self.claimed += other.claimed;
        self.scored += other.scored;
    }

    /// D of S1: mean of min(|claimed − scored|, 1).
    pub fn distance(&self) -> Option<f64> {
        mean(self.distance, self.tokens)
    }

    /// Share of tokens that are more than .5 apart.
    pub fn far(&self) -> Option<f64> {
        mean(self.far.into(), self.tokens)
    }

    /// M of S3: mean margin.
    pub fn margin(&self) -> Option<f64> {
        mean(self.margin, self.margins)
    }

    /// X of S3: share of tokens that are the very ones to be drawn.
    pub fn zero(&self) -> Option<f64> {
        mean(self.zero.into(), self.margins)
    }

    /// Mean log-likelihood, as claimed and as scored.
    pub fn likelihoods(&self) -> Option<(f64, f64)> {
        Some((mean(self.claimed, self.tokens)?, mean(self.scored, self.tokens)?))
    }

    fn distance_of(&mut self, claimed: f64, scored: f64) {
        let distance = (claimed - scored).abs();
        self.tokens = self.tokens.saturating_add(1);
        self.distance += distance.min(DISTANCE_MAX);
        self.far = self.far.saturating_add(u32::from(distance > FAR));
        // Bounded, so that one absurd claim is not all that a mean tells.
        self.claimed += claimed.max(2.0 * NEVER);
        self.scored += scored.max(2.0 * NEVER);
    }

    fn margin_of(&mut self, margin: f64) {
        self.margins = self.margins.saturating_add(1);
        self.margin += margin;
        self.zero = self.zero.saturating_add(u32::from(margin <= MARGIN_NONE));
    }
}

// === impl Figures ===

impl Figures {
    /// Of what has been found to be a score of this answer. `None`: a token is without a claim.
    pub fn new(answer: &Answer<'_>, scored: &Scored, random: &mut Random) -> Option<Self> {
        let canonical = answer.provenance.sampler == gumbel::NAME || answer.temperature <= 0.0;
        let own = own(answer, scored);
        let mut sums = Sums::default();
        let (mut never, mut seldom, mut skipped_ends) = (0, 0, 0);
        for score in own {
            let at = usize::try_from(score.i).ok()?.checked_sub(answer.skipped())?;
            let claim = answer.own_claims().get(at)?;
            sums.distance_of(f64::from(claim.lp) / 1e3, score.lp);
            if let Some(margin) = score.margin.filter(|_| canonical) {
                sums.margin_of(margin);
            }
            let likelihood = likelihood(score, canonical);
            never += u32::from(likelihood <= NEVER);
            seldom += u32::from(likelihood <= SELDOM);
            skipped_ends += u32::from(termination::is_skipped(score, answer, canonical));
        }
        // A grammar rightly takes what the model holds for unlikely.
        if scored.constrained {
            (never, seldom, skipped_ends) = (0, 0, 0);
        }
        let unknown = sums.margins == 0 && answer.temperature > 0.0 && !scored.constrained;
        let uniformity = if unknown { uniformity::of(own, random) } else { None };
        Some(Self { sums, never, seldom, skipped_ends, uniformity })
    }
}

/// The scores of tokens that this node drew.
fn own<'a>(answer: &Answer<'_>, scored: &'a Scored) -> &'a [Score] {
    let skipped = u32::try_from(answer.skipped()).unwrap_or(u32::MAX);
    let from = scored.scores.partition_point(|score| score.i < skipped);
    scored.scores.get(from..).unwrap_or_default()
}

/// How likely a token was, by the kindest reading: as the sampler was to draw it, at the request's
/// temperature, or as the model has it.
fn likelihood(score: &Score, canonical: bool) -> f64 {
    match score.margin {
        Some(margin) if canonical && margin <= MARGIN_NONE => 0.0,
        _ => score.lp.max(score.own.max(0.0).ln()),
    }
}

/// Whether an answer can end so.
pub(super) fn ends(answer: &Answer<'_>, scored: &Scored) -> bool {
    let canonical = answer.provenance.sampler == gumbel::NAME || answer.temperature <= 0.0;
    termination::is_right(answer, scored, |score| {
        canonical && score.margin.is_some_and(|margin| margin <= MARGIN_NONE)
    })
}

/// Ends that are the same in all but the words for it.
pub(super) fn is_by_itself(reason: FinishReason) -> bool {
    matches!(reason, FinishReason::Stop | FinishReason::ToolCalls | FinishReason::FunctionCall)
}

fn mean(sum: f64, count: u32) -> Option<f64> {
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing::Case;

    fn figures(case: &Case) -> Figures {
        Figures::new(&case.answer(), &case.scored, &mut Random::new(1)).unwrap()
    }

    #[test]
    fn claims_are_compared_token_by_token_and_one_token_decides_nothing() {
        let mut case = Case::honest(100);
        let sums = figures(&case).sums;
        assert_eq!((sums.tokens, sums.distance(), sums.far()), (100, Some(0.0), Some(0.0)));
        case.claims[0][0].lp = i32::MIN;
        case.claims[0][1].lp = -1_100;
        let sums = figures(&case).sums;
        assert!((sums.distance().unwrap() - 0.011).abs() < 1e-9);
        assert_eq!(sums.far(), Some(0.01));
        let (claimed, scored) = sums.likelihoods().unwrap();
        assert!((claimed + 1.251).abs() < 1e-9 && (scored + 1.0).abs() < 1e-9);
        case.claims[0].pop();
        assert!(Figures::new(&case.answer(), &case.scored, &mut Random::new(1)).is_none());
    }

    #[test]
    fn margins_count_where_the_sampler_is_the_canonical_one_or_none_is_needed() {
        let mut case = Case::honest(10);
        case.scored.scores[3].margin = Some(2.0);
        let sums = figures(&case).sums;
        assert_eq!((sums.zero(), sums.margin()), (Some(0.9), Some(0.2)));
        case.provenance.sampler = "other".to_owned();
        assert_eq!(figures(&case).sums.zero(), None);
        case.temperature = 0.0;
        assert_eq!(figures(&case).sums.zero(), Some(0.9));
    }

    #[test]
    fn what_is_hardly_possible_counts_unless_it_was_to_be_drawn() {
        let mut case = Case::honest(10);
        for at in 0..4 {
            let score = &mut case.scored.scores[at];
            (score.lp, score.own, score.margin) = (-14.0 + 2.0 * at as f64, 0.0, Some(5.0));
        }
        let both = |case: &Case| (figures(case).never, figures(case).seldom);
        assert_eq!(both(&case), (1, 4));
        case.scored.scores[0].margin = Some(0.0);
        assert_eq!(both(&case), (0, 3), "drawn, however unlikely: a high temperature, a bias");
        case.scored.scores[1].own = 0.3;
        assert_eq!(both(&case), (0, 2));
        case.scored.constrained = true;
        assert_eq!(both(&case), (0, 0));
    }

    #[test]
    fn tokens_that_another_node_drew_are_not_held_against_this_one() {
        let mut case = Case::honest(10);
        case.provenance.resumed = 4;
        case.claims[0].drain(..4);
        for score in &mut case.scored.scores[..4] {
            (score.lp, score.margin) = (-15.0, Some(9.0));
        }
        let figures = figures(&case);
        assert_eq!((figures.sums.tokens, figures.sums.zero()), (6, Some(1.0)));
        assert_eq!((figures.never, figures.sums.distance()), (0, Some(0.0)));
    }

    #[test]
    fn sums_of_parts_are_those_of_the_whole() {
        let mut case = Case::honest(30);
        case.scored.scores[3].margin = Some(2.0);
        case.claims[0][5].lp = -1_700;
        let (once, mut twice) = (figures(&case).sums, figures(&case).sums);
        twice.add(&once);
        assert_eq!(twice.tokens, 60);
        assert_eq!((twice.distance(), twice.zero()), (once.distance(), once.zero()));
        assert_eq!(twice.far(), once.far());
        assert_eq!(Sums::default().distance(), None);
    }
}
