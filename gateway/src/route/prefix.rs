//! Which prompts' beginnings a provider has seen lately, and so may have in its cache: a guess from what
//! was sent there, corrected by what it charges as cached.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::atomic::AtomicF32;

/// Beginnings remembered of one provider and model.
const SEEN: usize = 16;
/// Bytes of the beginnings that are told apart; a token is about 4 bytes.
pub const SHORT_BYTES: usize = 1024;
pub const LONG_BYTES: usize = 4096;
const BYTES_A_TOKEN: f64 = 4.0;
/// Of a remembered beginning, before the provider has charged any.
const SHARE: f32 = 0.5;
/// Of each new share in the mean.
const SHARE_OF_NEW: f32 = 0.2;

/// Hashes of (model, tenant, beginning); 0: the prompt is shorter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prefix {
    /// Of the first [`SHORT_BYTES`].
    pub short: u64,
    /// Of the first [`LONG_BYTES`].
    pub long: u64,
}

/// Tags in a word.
const WORD: usize = 8;

/// The tags come first: they lie beside what a look at a candidate reads anyway, and fifteen of sixteen
/// strangers are told by them alone.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Prefixes {
    /// A byte of each that was seen.
    tags: [AtomicU64; SEEN / WORD],
    seen: [AtomicU32; SEEN],
    next: AtomicU32,
    /// Of what is expected in the cache, what was charged as cached.
    share: AtomicF32,
}

// === impl Prefixes ===

impl Default for Prefixes {
    fn default() -> Self {
        Self {
            tags: Default::default(),
            seen: Default::default(),
            next: AtomicU32::new(0),
            share: AtomicF32::new(SHARE),
        }
    }
}

impl Prefixes {
    /// Expected of a prompt with this beginning.
    pub(super) fn cached_tokens(&self, prefix: &Prefix) -> f64 {
        match self.longest(prefix) {
            0 => 0.0,
            bytes => Self::tokens(bytes) * f64::from(self.share.load()),
        }
    }

    /// A prompt was sent there.
    pub(super) fn sent(&self, prefix: &Prefix) {
        for key in [prefix.short, prefix.long] {
            if key != 0 && !self.has(key) {
                let place = self.next.fetch_add(1, Relaxed) as usize % SEEN;
                let tags = self.tags.get(place / WORD);
                if let (Some(slot), Some(tags)) = (self.seen.get(place), tags) {
                    slot.store(short(key), Relaxed);
                    let shift = place % WORD * WORD;
                    let put = |word| Some((word & !(0xFF << shift)) | (tag(short(key)) << shift));
                    // It never refuses.
                    let _before = tags.fetch_update(Relaxed, Relaxed, put);
                }
            }
        }
    }

    /// The provider charged so many tokens of a prompt as cached, whose beginning had been sent before.
    pub(super) fn charged(&self, prefix: &Prefix, cached_tokens: u64) {
        let expected = Self::tokens(self.longest(prefix));
        if expected > 0.0 {
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                reason = "a share of at most 1"
            )]
            let share = (cached_tokens as f64 / expected).min(1.0) as f32;
            self.share.update(|mean| mean + SHARE_OF_NEW * (share - mean));
        }
    }

    fn longest(&self, prefix: &Prefix) -> usize {
        if prefix.long != 0 && self.has(prefix.long) {
            LONG_BYTES
        } else if prefix.short != 0 && self.has(prefix.short) {
            SHORT_BYTES
        } else {
            0
        }
    }

    fn has(&self, key: u64) -> bool {
        let key = short(key);
        let tag = tag(key);
        self.tags.iter().any(|word| has_byte(word.load(Relaxed), tag))
            && self.seen.iter().any(|seen| seen.load(Relaxed) == key)
    }

    #[expect(clippy::cast_precision_loss, reason = "at most 4096")]
    fn tokens(bytes: usize) -> f64 {
        bytes as f64 / BYTES_A_TOKEN
    }
}

/// Never 0, which is an empty slot.
fn short(key: u64) -> u32 {
    ((key >> 32) as u32).max(1)
}

/// Never 0, which is an empty slot's.
fn tag(key: u32) -> u64 {
    u64::from((key & 0xFF).max(1))
}

/// Whether one of the word's bytes is this one: a byte of zero in what differs (Mycroft, 1987).
fn has_byte(word: u64, byte: u64) -> bool {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    let differing = word ^ (ONES * byte);
    differing.wrapping_sub(ONES) & !differing & HIGHS != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(number: u64) -> Prefix {
        Prefix { short: number << 32, long: (number + 1_000) << 32 }
    }

    fn tokens(bytes: usize) -> f64 {
        bytes as f64 / BYTES_A_TOKEN
    }

    #[test]
    fn what_was_sent_is_half_expected() {
        let prefixes = Prefixes::default();
        assert_eq!(prefixes.cached_tokens(&prefix(1)), 0.0);
        prefixes.sent(&prefix(1));
        assert_eq!(prefixes.cached_tokens(&prefix(1)), tokens(LONG_BYTES) / 2.0);
        let other_end = Prefix { long: 7 << 32, ..prefix(1) };
        assert_eq!(prefixes.cached_tokens(&other_end), tokens(SHORT_BYTES) / 2.0);
        assert_eq!(prefixes.cached_tokens(&prefix(2)), 0.0);
    }

    #[test]
    fn a_prompt_too_short_to_have_a_beginning_expects_nothing() {
        let prefixes = Prefixes::default();
        prefixes.sent(&Prefix::default());
        assert_eq!(prefixes.cached_tokens(&Prefix::default()), 0.0);
    }

    #[test]
    fn what_is_charged_corrects_it() {
        let prefixes = Prefixes::default();
        prefixes.sent(&prefix(1));
        // A stranger's charge says nothing.
        prefixes.charged(&prefix(2), 0);
        assert_eq!(prefixes.cached_tokens(&prefix(1)), tokens(LONG_BYTES) / 2.0);
        (0..40).for_each(|_| prefixes.charged(&prefix(1), 0));
        assert!(prefixes.cached_tokens(&prefix(1)) < 1.0);
        (0..40).for_each(|_| prefixes.charged(&prefix(1), 1_000_000));
        assert!(prefixes.cached_tokens(&prefix(1)) > 0.99 * tokens(LONG_BYTES));
    }

    #[test]
    fn a_byte_is_found_wherever_it_is_and_no_other() {
        let mut random = crate::route::Random::new(5);
        for _ in 0..10_000 {
            let word = random.draw();
            for byte in 1..=255u8 {
                assert_eq!(has_byte(word, byte.into()), word.to_ne_bytes().contains(&byte));
            }
        }
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let prefixes = Prefixes::default();
        (1..=9).for_each(|number| prefixes.sent(&prefix(number)));
        assert_eq!(prefixes.cached_tokens(&prefix(1)), 0.0);
        assert!((2..=9).all(|number| prefixes.cached_tokens(&prefix(number)) > 0.0));
        // Sent again it takes no second place.
        (0..50).for_each(|_| prefixes.sent(&prefix(9)));
        assert!(prefixes.cached_tokens(&prefix(2)) > 0.0);
    }
}
