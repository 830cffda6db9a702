//! One audit's verdict, out of its figures and thresholds. What binds, what is implausible and how it ends
//! is judged at once; distances and margins from 64 tokens on, before that they are pooled. Without a score
//! to compare there is none, and never a pass.

use openapi::verify::Scored;
use serde::{Deserialize, Serialize};
use std::fmt;

use super::profile::{Band, Key, Profiles, Thresholds};
use super::{Answer, Figures, Malformed, Order, Sums, statistics};
use crate::route::Random;

/// Fewer scored tokens say too little of distances and margins.
pub const TOKENS_MIN: u32 = 64;
/// S4: so many tokens that seldom come up are too many.
const SELDOM_MAX: u32 = 4;
/// S7: the probability below which nobody drew so by chance, and below which it is odd.
const CHANCE_FAIL: f64 = 1e-4;
const CHANCE_GREY: f64 = 1e-2;

/// Of one audit, by one scorer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Pass,
    /// To be confirmed before anybody is blamed.
    Fail(Vec<Reason>),
    /// Between: watched over more tokens, see `pool`.
    Grey,
    /// All well as far as it goes, with too few tokens: pooled.
    Short,
    /// Nothing was learned.
    None(Why),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// None, or not a whole one.
    Provenance,
    Signature,
    Weights,
    /// Of the weights or of the cache.
    Precision,
    Sampler,
    Seed,
    /// Tokens counted are not the tokens sent.
    Count,
    /// What it was is not shown.
    Withheld,
    /// What is shown is not what was committed to.
    Commitment,
    /// S6: another prompt than the request makes.
    Prompt,
    /// S6: the tokens make another text.
    Text,
    /// S5: it ends where it should not, or not where it should.
    End,
    /// S4.
    Implausible,
    /// S1.
    Distance,
    /// S3.
    Margin,
    /// S7.
    Sampling,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The scorer has other weights or another precision.
    Incomparable,
    /// Nobody could score it, or nobody that the request's policy admits.
    NoScorer,
    /// One scorer says fail, and nobody confirms or refutes it.
    Unconfirmed,
}

/// A verdict with what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    pub verdict: Verdict,
    /// Absent with nothing to compare.
    pub figures: Option<Figures>,
    pub key: Option<Key>,
}

/// What a scorer says of an answer. `random`: for what is drawn in S7.
///
/// # Errors
/// It says nothing: the scorer's fault, and none of the writer's.
pub fn judge(
    answer: &Answer<'_>,
    order: &Order<'_>,
    scored: &Scored,
    profiles: &Profiles,
    random: &mut Random,
) -> Result<Judged, Malformed> {
    order.check(scored)?;
    let Some(key) = Key::of(answer.provenance, scored) else {
        let verdict = Verdict::None(Why::Incomparable);
        return Ok(Judged { verdict, figures: None, key: None });
    };
    let mut reasons = bound(answer, scored);
    let Some(figures) = Figures::new(answer, scored, random) else {
        let verdict = Verdict::Fail(vec![Reason::Commitment]);
        return Ok(Judged { verdict, figures: None, key: Some(key) });
    };
    if !statistics::ends(answer, scored) || figures.skipped_ends > 0 {
        reasons.push(Reason::End);
    }
    if figures.never > 0 || figures.seldom > SELDOM_MAX {
        reasons.push(Reason::Implausible);
    }
    let chance = figures.uniformity.map_or(1.0, |it| it.p);
    if chance < CHANCE_FAIL {
        reasons.push(Reason::Sampling);
    }
    let verdict = match of_sums(&figures.sums, &profiles.thresholds(&key)) {
        Verdict::Fail(more) => Verdict::Fail([reasons, more].concat()),
        _ if !reasons.is_empty() => Verdict::Fail(reasons),
        Verdict::Pass if chance < CHANCE_GREY => Verdict::Grey,
        verdict => verdict,
    };
    Ok(Judged { verdict, figures: Some(figures), key: Some(key) })
}

/// S6.
fn bound(answer: &Answer<'_>, scored: &Scored) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let provenance = answer.provenance;
    if provenance.prompt_ids_sha256 != scored.prompt_ids_sha256
        || provenance.template_sha256 != scored.template_sha256
    {
        reasons.push(Reason::Prompt);
    }
    if provenance.usage.prompt_tokens != scored.prompt_tokens {
        reasons.push(Reason::Count);
    }
    if answer.text_sha256 != scored.text_sha256 {
        reasons.push(Reason::Text);
    }
    reasons
}

/// S1 and S3, of one audit or of a pool.
pub fn of_sums(sums: &Sums, thresholds: &Thresholds) -> Verdict {
    if sums.tokens < TOKENS_MIN {
        return Verdict::Short;
    }
    let (distance, margin) = (thresholds.distance(sums), thresholds.zero(sums));
    let fails = [(distance, Reason::Distance), (margin, Reason::Margin)];
    let fails = fails.into_iter().filter(|(band, _)| *band == Band::Fail);
    let reasons: Vec<Reason> = fails.map(|(_, reason)| reason).collect();
    match distance.max(margin) {
        Band::Pass => Verdict::Pass,
        Band::Grey => Verdict::Grey,
        Band::Fail => Verdict::Fail(reasons),
    }
}

// === impl Reason ===

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Provenance => "no provenance",
            Self::Signature => "a signature that does not fit",
            Self::Weights => "other weights",
            Self::Precision => "another precision",
            Self::Sampler => "another sampler",
            Self::Seed => "another seed",
            Self::Count => "a wrong count of tokens",
            Self::Withheld => "what it committed itself to is not shown",
            Self::Commitment => "not what it committed itself to",
            Self::Prompt => "another prompt (S6)",
            Self::Text => "tokens of another text (S6)",
            Self::End => "a wrong end (S5)",
            Self::Implausible => "tokens that are hardly possible (S4)",
            Self::Distance => "log-probabilities of another model (S1)",
            Self::Margin => "tokens that were not to be drawn (S3)",
            Self::Sampling => "not drawn as asked (S7)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing::Case;
    use openapi::commit::thousandths;

    fn verdict(case: &Case) -> Verdict {
        let (answer, order) = (case.answer(), case.order());
        let judged =
            judge(&answer, &order, &case.scored, &Profiles::default(), &mut Random::new(1));
        judged.unwrap().verdict
    }

    fn failed(change: impl FnOnce(&mut Case)) -> Vec<Reason> {
        let mut case = Case::honest(100);
        change(&mut case);
        match verdict(&case) {
            Verdict::Fail(reasons) => reasons,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_honest_answer_passes_once_it_is_long_enough() {
        assert_eq!(verdict(&Case::honest(100)), Verdict::Pass);
        assert_eq!(verdict(&Case::honest(64)), Verdict::Pass);
        assert_eq!(verdict(&Case::honest(63)), Verdict::Short);
        assert_eq!(verdict(&Case::honest(0)), Verdict::Short);
    }

    #[test]
    fn what_binds_is_judged_however_short() {
        assert_eq!(failed(|it| it.provenance.prompt_ids_sha256.push('x')), [Reason::Prompt]);
        assert_eq!(failed(|it| it.provenance.template_sha256.push('x')), [Reason::Prompt]);
        assert_eq!(failed(|it| it.provenance.usage.prompt_tokens = 9), [Reason::Count]);
        assert_eq!(failed(|it| it.text_sha256.push('x')), [Reason::Text]);
        assert_eq!(failed(|it| it.scored.finish_reason = None), [Reason::End]);
        assert_eq!(
            failed(|it| {
                it.claims[0].pop();
            }),
            [Reason::Commitment]
        );
        let mut short = Case::honest(5);
        short.text_sha256.push('x');
        assert_eq!(verdict(&short), Verdict::Fail(vec![Reason::Text]));
    }

    #[test]
    fn distances_and_margins_pass_are_watched_or_fail() {
        let distance = |lp: i32| {
            let mut case = Case::honest(100);
            case.claims[0].iter_mut().for_each(|claim| claim.lp += lp);
            verdict(&case)
        };
        assert_eq!(distance(49), Verdict::Pass);
        assert_eq!(distance(70), Verdict::Grey);
        assert_eq!(distance(160), Verdict::Fail(vec![Reason::Distance]));
        let margins = |count: usize| {
            let mut case = Case::honest(100);
            case.scored.scores[..count].iter_mut().for_each(|score| score.margin = Some(0.3));
            verdict(&case)
        };
        assert_eq!(margins(3), Verdict::Pass);
        assert_eq!(margins(10), Verdict::Grey);
        assert_eq!(margins(11), Verdict::Fail(vec![Reason::Margin]));
    }

    #[test]
    fn implausible_tokens_fail() {
        let tokens = |count: usize, lp: f64| {
            let mut case = Case::honest(100);
            for score in &mut case.scored.scores[..count] {
                (score.lp, score.own, score.margin, score.rank) = (lp, 0.0, Some(8.0), 40);
            }
            case.claims[0].iter_mut().take(count).for_each(|it| it.lp = thousandths(lp));
            verdict(&case)
        };
        assert_eq!(tokens(1, -13.0), Verdict::Fail(vec![Reason::Implausible]));
        assert_eq!(tokens(5, -8.0), Verdict::Fail(vec![Reason::Implausible]));
        assert_eq!(tokens(4, -8.0), Verdict::Grey, "possible");
    }

    #[test]
    fn other_weights_are_compared_to_nothing() {
        let mut case = Case::honest(100);
        case.scored.quant = "q4".to_owned();
        case.scored.scores.iter_mut().for_each(|score| score.margin = Some(9.0));
        assert_eq!(verdict(&case), Verdict::None(Why::Incomparable));
    }

    #[test]
    fn a_malformed_score_is_no_verdict() {
        let mut case = Case::honest(100);
        case.scored.scores[5].lp = f64::NAN;
        let (answer, order) = (case.answer(), case.order());
        let judged =
            judge(&answer, &order, &case.scored, &Profiles::default(), &mut Random::new(1));
        assert_eq!(judged, Err(Malformed::Number));
    }

    #[test]
    fn greedy_drawing_is_found_where_the_sampler_is_unknown() {
        let mut case = Case::honest(100);
        case.provenance.sampler = "other".to_owned();
        for score in &mut case.scored.scores {
            (score.above, score.own, score.rank) = (0.0, 0.4, 0);
            score.top = vec![(score.id, -1.0)];
        }
        assert_eq!(verdict(&case), Verdict::Fail(vec![Reason::Sampling]));
        case.temperature = 0.0;
        assert_eq!(verdict(&case), Verdict::Pass, "as asked");
    }
}
