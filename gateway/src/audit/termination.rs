//! S5: whether an answer ends where it has to. It ends by itself only where these tokens make an end here
//! too, and the token that ended it was likely; it is cut off only where it had to be; and it goes on past
//! a likely end only where the sampler had to. An answer that is too short is cheap to make, one that is too
//! long is paid for.

use openapi::chat::FinishReason;
use openapi::verify::{Score, Scored};

use super::Answer;
use super::statistics::is_by_itself;

/// A token that ends an answer has a rank of so much at most.
const END_RANK_MAX: u32 = 15;
/// An end as likely as all else together is skipped by a token that is hardly likely, and that was far from
/// being drawn where that is known. A margin alone says nothing: at the edge of `top_p` a likely token is a
/// candidate on one machine and none on the other.
const END_LP: f64 = -0.693;
const SKIP_MARGIN: f64 = 2.0;
const SKIP_LIKELY: f64 = 0.01;

/// `drawn`: whether it is the very token that was to be drawn.
pub(super) fn is_right(
    answer: &Answer<'_>,
    scored: &Scored,
    drawn: impl Fn(&Score) -> bool,
) -> bool {
    let tokens = answer.own_ids().len() as u64;
    match (answer.finish_reason, scored.finish_reason) {
        (FinishReason::Length, Some(FinishReason::Length)) => tokens == scored.max_tokens,
        (told, Some(here)) if is_by_itself(told) && is_by_itself(here) => {
            let last = scored.scores.last().filter(|score| u64::from(score.i) + 1 == tokens);
            last.is_none_or(|last| {
                !is_end(last) || last.rank <= END_RANK_MAX || drawn(last) || scored.constrained
            })
        }
        _ => false,
    }
}

/// Of the last token: whether it ends answers. Otherwise a stop string did, or a grammar.
fn is_end(last: &Score) -> bool {
    last.rank == last.eos_rank
}

/// Whether this token stands where the answer should have ended.
pub(super) fn is_skipped(score: &Score, answer: &Answer<'_>, canonical: bool) -> bool {
    let likely = score.eos_rank == 0 && score.eos_lp >= END_LP && score.rank > 0;
    let excused = match score.margin {
        Some(margin) if canonical => margin < SKIP_MARGIN,
        _ => answer.temperature <= 0.0,
    };
    likely && !excused && score.own.max(score.lp.exp()) < SKIP_LIKELY
}

#[cfg(test)]
mod tests {
    use crate::audit::statistics::ends;
    use crate::audit::testing::Case;
    use crate::audit::{Figures, Reason, Verdict, judge, profile::Profiles};
    use crate::route::Random;
    use openapi::chat::FinishReason::{ContentFilter, Length, Stop, ToolCalls};

    fn is_right(change: impl FnOnce(&mut Case)) -> bool {
        let mut case = Case::honest(100);
        change(&mut case);
        ends(&case.answer(), &case.scored)
    }

    #[test]
    fn an_answer_ends_by_itself_only_where_it_does_here_too() {
        assert!(is_right(|_| ()));
        assert!(is_right(|it| it.scored.finish_reason = Some(ToolCalls)), "other words for it");
        assert!(!is_right(|it| it.scored.finish_reason = None), "truncated");
        assert!(!is_right(|it| it.scored.finish_reason = Some(Length)));
        assert!(!is_right(|it| it.finish_reason = ContentFilter));
    }

    #[test]
    fn an_end_that_the_model_does_not_think_of_is_forged() {
        let far = |it: &mut Case| {
            let last = it.scored.scores.last_mut().unwrap();
            (last.rank, last.eos_rank, last.margin) = (16, 16, Some(3.0));
            last.top.clear();
        };
        assert!(!is_right(far));
        assert!(is_right(|it| {
            far(it);
            it.scored.scores.last_mut().unwrap().rank = 15;
        }));
        assert!(is_right(|it| {
            far(it);
            it.scored.scores.last_mut().unwrap().margin = Some(0.0);
        }));
        assert!(
            is_right(|it| {
                far(it);
                it.scored.scores.last_mut().unwrap().eos_rank = 40;
            }),
            "a stop string"
        );
        assert!(is_right(|it| {
            far(it);
            it.scored.constrained = true;
        }));
    }

    #[test]
    fn an_answer_is_cut_off_only_where_it_has_to_be() {
        let cut =
            |it: &mut Case| (it.finish_reason, it.scored.finish_reason) = (Length, Some(Length));
        assert!(is_right(|it| {
            cut(it);
            it.scored.max_tokens = 100;
        }));
        assert!(!is_right(cut), "500 tokens were asked for");
        assert!(!is_right(|it| {
            cut(it);
            it.finish_reason = Stop;
        }));
    }

    #[test]
    fn going_on_past_a_likely_end_is_seen() {
        let mut case = Case::honest(100);
        let score = &mut case.scored.scores[50];
        (score.lp, score.rank, score.eos_rank, score.eos_lp) = (-6.0, 4, 0, -0.2);
        (score.above, score.own) = (0.99, 0.002);
        score.top.clear();
        let skipped = |case: &Case| {
            let figures = Figures::new(&case.answer(), &case.scored, &mut Random::new(1));
            figures.unwrap().skipped_ends
        };
        assert_eq!(skipped(&case), 0, "it was drawn");
        case.scored.scores[50].margin = Some(6.0);
        case.claims[0][50].lp = -6_000;
        assert_eq!(skipped(&case), 1);
        let (answer, order) = (case.answer(), case.order());
        let judged =
            judge(&answer, &order, &case.scored, &Profiles::default(), &mut Random::new(1));
        assert_eq!(judged.unwrap().verdict, Verdict::Fail(vec![Reason::End]));
        let mut edge = case.clone();
        (edge.scored.scores[50].lp, edge.scored.scores[50].margin) = (-1.2, Some(20.0));
        assert_eq!(skipped(&edge), 0, "on the edge of top_p");
        case.scored.constrained = true;
        assert_eq!(skipped(&case), 0);
    }
}
