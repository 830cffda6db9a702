//! What is learned of a model by all of its requests, whoever answered them: how long answers are, how
//! late first tokens come beside the prediction, how far tokens are apart; and what hedges and retries may
//! still take. Kept for as long as the model is known here.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::atomic::AtomicF32;
use super::cost::{Ask, Facts};
use super::hedge::Hedges;
use super::line::Line;
use super::retry::Retries;
use super::sketch::Sketch;

/// Tokens of an answer before anything is known.
const ANSWER_TOKENS: f32 = 256.0;
/// Of each new answer in the mean.
const SHARE: f32 = 0.1;
const BYTES_A_TOKEN: f32 = 4.0;
/// Keys whose answers are remembered apart; two that fall on one place share it, the later one's tag wins.
const KEYS: usize = 1024;
/// Between tokens: this many times the 95th percentile is a stall.
const STALL: f32 = 8.0;
const STALL_MIN_S: f32 = 2.0;
/// Before so many were seen nothing is a stall but what is longer than the bound.
const SEEN_MIN: u32 = 100;

/// Of one model.
#[derive(Debug)]
pub struct Shared {
    pub hedges: Hedges,
    pub retries: Retries,
    /// Requests that found nobody with room.
    pub line: Line,
    /// Seconds between the events of an answer.
    gaps: Sketch,
    bytes_a_token: AtomicF32,
    answer_tokens: AtomicF32,
    /// Mean seconds to the first token, over all providers; 0: none came yet.
    first_s: AtomicF32,
    /// 32 bits of the key's hash, then the mean as an f32's.
    by_key: Box<[AtomicU64]>,
}

// === impl Shared ===

impl Default for Shared {
    fn default() -> Self {
        Self {
            hedges: Hedges::default(),
            retries: Retries::default(),
            line: Line::default(),
            gaps: Sketch::new(1e-4),
            bytes_a_token: AtomicF32::new(BYTES_A_TOKEN),
            answer_tokens: AtomicF32::new(ANSWER_TOKENS),
            first_s: AtomicF32::default(),
            by_key: (0..KEYS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Shared {
    /// x, of a prompt of so many bytes.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn prompt_tokens(&self, bytes: usize) -> f64 {
        bytes as f64 / f64::from(self.bytes_a_token.load())
    }

    /// o, for a key (its hash) that allows at most `max` tokens.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn answer_tokens(&self, key: u64, max: Option<u64>) -> f64 {
        let expected = match self.of_key(key) {
            Some((tag, mean)) if tag == tag_of(key) => mean,
            _ => self.answer_tokens.load(),
        };
        let expected = f64::from(expected).max(1.0);
        max.map_or(expected, |max| expected.min(max as f64))
    }

    /// An answer is whole.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn answered(&self, key: u64, prompt_bytes: usize, prompt_tokens: u64, tokens: u64) {
        let tokens = tokens as f32;
        self.answer_tokens.update(|mean| mean + SHARE * (tokens - mean));
        if let Some(slot) = self.slot(key) {
            let before = unpack(slot.load(Relaxed));
            let mean = match before {
                (tag, mean) if tag == tag_of(key) => mean + SHARE * (tokens - mean),
                _ => tokens,
            };
            slot.store((u64::from(tag_of(key)) << 32) | u64::from(mean.to_bits()), Relaxed);
        }
        // Templates and tools make short prompts look dense.
        if prompt_bytes >= 256 && prompt_tokens > 0 {
            let density = (prompt_bytes as f32 / prompt_tokens as f32).clamp(0.5, 16.0);
            self.bytes_a_token.update(|mean| mean + SHARE * (density - mean));
        }
    }

    /// A first token came.
    pub fn first_token(&self, seconds: f32) {
        self.first_s.update(|mean| match mean > 0.0 {
            true => mean + SHARE * (seconds - mean),
            false => seconds.max(f32::MIN_POSITIVE),
        });
    }

    /// Who was never asked is taken to be no slower than the others are on average: else it never would be.
    pub fn unknown(&self, facts: Facts, ask: &Ask) -> Facts {
        let mean_s = f64::from(self.first_s.load());
        match mean_s > 0.0 && mean_s < facts.first_token_s(ask) {
            true => Facts { base_s: mean_s, prompt_token_s: 0.0, ..facts },
            false => facts,
        }
    }

    /// Seconds between one event of an answer and the next.
    pub fn gap(&self, seconds: f32) {
        self.gaps.add(seconds);
    }

    /// Seconds without a token after which a provider has stalled; at most `max_s`.
    pub fn stall_s(&self, max_s: f32) -> f32 {
        let p95 = if self.gaps.total() < SEEN_MIN { None } else { self.gaps.quantile(0.95) };
        p95.map_or(max_s, |p95| (STALL * p95).max(STALL_MIN_S).min(max_s))
    }

    fn slot(&self, key: u64) -> Option<&AtomicU64> {
        self.by_key.get(usize::try_from(key).unwrap_or(0) % KEYS)
    }

    fn of_key(&self, key: u64) -> Option<(u32, f32)> {
        self.slot(key).map(|slot| unpack(slot.load(Relaxed)))
    }
}

/// Never 0, which is an empty slot.
fn tag_of(key: u64) -> u32 {
    ((key >> 32) as u32).max(1)
}

fn unpack(word: u64) -> (u32, f32) {
    let (tag, bits) = ((word >> 32) as u32, u32::try_from(word & u64::from(u32::MAX)).unwrap_or(0));
    (tag, f32::from_bits(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: u64 = 5 << 32 | 5;

    #[test]
    fn answers_are_expected_as_they_came_to_this_key() {
        let shared = Shared::default();
        assert_eq!(shared.answer_tokens(KEY, None), 256.0);
        assert_eq!(shared.answer_tokens(KEY, Some(16)), 16.0);
        (0..100).for_each(|_| shared.answered(KEY, 0, 0, 40));
        assert!((shared.answer_tokens(KEY, None) - 40.0).abs() < 1.0);
        // Another key with the same place, which is not taken for this one, knows what all have in common.
        let other = 6 << 32 | (5 + KEYS as u64);
        assert!((shared.answer_tokens(other, None) - 40.0).abs() < 1.0);
        shared.answered(other, 0, 0, 4_000);
        assert_eq!(shared.answer_tokens(other, None), 4_000.0);
        assert!(shared.answer_tokens(KEY, None) < 450.0);
    }

    #[test]
    fn prompts_are_as_dense_as_they_were() {
        let shared = Shared::default();
        assert_eq!(shared.prompt_tokens(4_000), 1_000.0);
        (0..100).for_each(|_| shared.answered(KEY, 4_000, 2_000, 1));
        assert!((shared.prompt_tokens(4_000) - 2_000.0).abs() < 10.0);
        // Of a few bytes the template is the most; of no count nothing is known.
        (0..100).for_each(|_| shared.answered(KEY, 10, 100, 1));
        (0..100).for_each(|_| shared.answered(KEY, 4_000, 0, 1));
        assert!((shared.prompt_tokens(4_000) - 2_000.0).abs() < 10.0);
    }

    #[test]
    fn a_stall_is_long_beside_the_usual_gap() {
        let shared = Shared::default();
        (0..SEEN_MIN - 1).for_each(|_| shared.gap(0.5));
        assert_eq!(shared.stall_s(10.0), 10.0);
        shared.gap(0.5);
        assert!((3.8..4.2).contains(&shared.stall_s(10.0)), "{}", shared.stall_s(10.0));
        (0..10_000).for_each(|_| shared.gap(0.01));
        assert_eq!(shared.stall_s(10.0), STALL_MIN_S);
        (0..50_000).for_each(|_| shared.gap(5.0));
        assert_eq!(shared.stall_s(10.0), 10.0);
    }
}
