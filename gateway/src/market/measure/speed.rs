//! From exchanges that were timed to figures. Pure. A provider's own counts never make a figure larger:
//! prompts count one token a word or fewer, answers as many tokens as have both an id and a byte of
//! text. So figures are floors that are alike for all who serve the same weights.

use openapi::nodes::Measured;
use std::time::Duration;

use super::prompt::CANCELLED_TOKENS;

/// One streamed answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Timed {
    /// Of the prompt.
    pub(super) words: u32,
    /// Tokens of the prompt, as the provider counts them.
    pub(super) claimed: Option<u64>,
    /// From request to first text.
    pub(super) first: Duration,
    /// Tokens after the first text, and how long they took.
    pub(super) tokens: u64,
    pub(super) decoding: Duration,
}

/// A difference shorter than this is lost in what the network does.
pub(super) const TELLING: Duration = Duration::from_millis(20);

/// The way there and back, queues and the template's share are in both prompts' times, so they cancel
/// out. Of several short ones the fastest counts: the first may have had to warm the model up.
pub(super) fn figures(short: &[Timed], long: &Timed, at_ms: i64) -> Measured {
    let fastest = short.iter().min_by_key(|timed| timed.first);
    let all = short.iter().chain([long]);
    let (tokens, decoding) = all.fold((0, Duration::ZERO), |(tokens, decoding), timed| {
        (tokens + timed.tokens, decoding + timed.decoding)
    });
    Measured {
        prefill_tps: fastest.and_then(|short| prefill(short, long)),
        decode_tps: rate(tokens, decoding),
        ttft_ms: fastest.map(|short| rounded(short.first.as_secs_f64() * 1e3)),
        cancels: None,
        at_ms,
    }
}

fn prefill(short: &Timed, long: &Timed) -> Option<f64> {
    let words = u64::from(long.words.checked_sub(short.words)?);
    let tokens = match (short.claimed, long.claimed) {
        (Some(short), Some(long)) => long.saturating_sub(short).min(words),
        _ => words,
    };
    let took = long.first.checked_sub(short.first)?;
    if took < TELLING { None } else { rate(tokens, took) }
}

/// Tokens a second; nothing where there is nothing to divide.
pub(super) fn rate(tokens: u64, took: Duration) -> Option<f64> {
    if tokens == 0 || took.is_zero() {
        return None;
    }
    Some(rounded(tokens as f64 / took.as_secs_f64()))
}

/// Whether an answer cancelled after its first token was given up, by what came next: it neither waited for
/// the rest (half of it, at `speed` tokens a second, is telling) nor did the node tell of more requests than
/// are ours (`ours` under way now, and the one just answered). Nothing where neither can be told.
pub(super) fn cancels(
    next: Duration,
    fastest: Duration,
    speed: f64,
    running: Option<u32>,
    ours: u32,
) -> Option<bool> {
    let rest = Duration::try_from_secs_f64(f64::from(CANCELLED_TOKENS) / speed).ok()?;
    let waited = next.saturating_sub(fastest);
    if running.is_some_and(|running| running > ours.saturating_add(1)) {
        return Some(false);
    }
    if rest / 2 < TELLING {
        return running.map(|_| true);
    }
    Some(waited < rest / 2)
}

/// More digits than a measurement has are of no use to anybody.
fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn timed(words: u32, claimed: Option<u64>, first_ms: u32) -> Timed {
        Timed { words, claimed, first: MS * first_ms, tokens: 31, decoding: MS * 620 }
    }

    #[test]
    fn speed_is_what_the_times_differ_by() {
        // 480 words more took 240 ms more, whatever both took besides.
        let short = [timed(32, Some(40), 900), timed(32, Some(40), 60)];
        let measured = figures(&short, &timed(512, Some(520), 300), 7);
        assert_eq!(measured.prefill_tps, Some(2_000.0));
        assert_eq!(measured.decode_tps, Some(50.0));
        assert_eq!(measured.ttft_ms, Some(60.0));
        assert_eq!(measured.at_ms, 7);
    }

    #[test]
    fn a_providers_count_makes_no_figure_larger() {
        let honest = figures(&[timed(32, None, 60)], &timed(512, None, 300), 0);
        let boasting = figures(&[timed(32, Some(32), 60)], &timed(512, Some(9_000), 300), 0);
        assert_eq!(boasting.prefill_tps, honest.prefill_tps);
        let modest = figures(&[timed(32, Some(32), 60)], &timed(512, Some(272), 300), 0);
        assert_eq!(modest.prefill_tps, Some(1_000.0));
    }

    #[test]
    fn a_cancelled_answer_is_given_up_or_not() {
        // 256 tokens at 64 a second: 4 s.
        let told = |next_ms: u32, running| cancels(MS * next_ms, MS * 60, 64.0, running, 0);
        assert_eq!(told(80, None), Some(true));
        assert_eq!(told(3_900, None), Some(false), "it waited for the rest");
        assert_eq!(told(80, Some(1)), Some(true));
        assert_eq!(told(80, Some(2)), Some(false), "the node tells that it goes on");
        assert_eq!(cancels(MS * 80, MS * 60, 64.0, Some(4), 3), Some(true), "those are ours");
        assert_eq!(cancels(MS * 60, MS * 60, 100_000.0, None, 0), None, "too fast to tell");
    }

    #[test]
    fn what_cannot_be_told_is_not_told() {
        let quick = figures(&[timed(32, None, 60)], &timed(512, None, 70), 0);
        assert_eq!(quick.prefill_tps, None);
        let backwards = figures(&[timed(32, None, 60)], &timed(512, None, 50), 0);
        assert_eq!(backwards.prefill_tps, None);
        let silent = Timed { tokens: 0, decoding: Duration::ZERO, ..timed(32, None, 60) };
        assert_eq!(figures(&[silent], &silent, 0).decode_tps, None);
        assert_eq!(rate(5, Duration::ZERO), None);
    }
}
