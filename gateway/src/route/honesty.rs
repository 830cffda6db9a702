//! What audits have shown of one provider: the probability that its answer is honest, which the cost goes
//! by, and whether it is quarantined. The two differ: a mean forgives whoever was honest for long, and a
//! cumulative sum (CUSUM; Page, 1954) of log-likelihood ratios doesn't, so that nobody cheats on credit.

/// Beta(1.9, 0.1): an honest answer, before any audit. As light as that of failures: one who is honest
/// hardly ever fails an audit, so that one failed audit says much.
const GOOD: f32 = 1.9;
const BAD: f32 = 0.1;
/// ln(0.20 / 0.01) and ln(0.80 / 0.99): one in five audits fails of who cheats at times, one in a hundred
/// of who is honest.
const FAILED: f32 = 3.0;
const PASSED: f32 = -0.213;
/// ln(10,000): an honest one is taken for a cheat once in a hundred thousand audits.
const QUARANTINE: f32 = 9.2;

#[derive(Debug, Clone, Copy)]
pub(super) struct Honesty {
    good: f32,
    bad: f32,
    suspicion: f32,
    is_quarantined: bool,
}

// === impl Honesty ===

impl Default for Honesty {
    fn default() -> Self {
        Self { good: GOOD, bad: BAD, suspicion: 0.0, is_quarantined: false }
    }
}

impl Honesty {
    pub(super) fn audited(&mut self, is_honest: bool) {
        let (count, ratio) = match is_honest {
            true => (&mut self.good, PASSED),
            false => (&mut self.bad, FAILED),
        };
        *count += 1.0;
        self.suspicion = (self.suspicion + ratio).max(0.0);
        self.is_quarantined |= self.suspicion >= QUARANTINE;
    }

    /// The probability stays what it is.
    pub(super) fn readmitted(&mut self) {
        (self.suspicion, self.is_quarantined) = (0.0, false);
    }

    /// Of an answer that is not audited yet.
    pub(super) fn probability(&self) -> f32 {
        self.good / (self.good + self.bad)
    }

    /// For good: who is asked nothing is audited no more.
    pub(super) fn is_quarantined(&self) -> bool {
        self.is_quarantined
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Random;

    /// Audits until it is quarantined, where so many of a thousand fail.
    fn audits(failing: usize, seed: u64, most: usize) -> Option<usize> {
        let (mut honesty, mut random) = (Honesty::default(), Random::new(seed));
        (1..=most).find(|_| {
            honesty.audited(random.below(1_000) >= failing);
            honesty.is_quarantined()
        })
    }

    #[test]
    fn four_failed_audits_in_a_row_are_enough_and_three_are_not() {
        assert_eq!(audits(1_000, 1, 10), Some(4));
    }

    #[test]
    fn who_cheats_at_times_is_found_and_who_is_honest_is_not() {
        let mean = |failing| {
            (0..200).map(|seed| audits(failing, seed, 10_000).unwrap()).sum::<usize>() / 200
        };
        assert!((4..=5).contains(&mean(900)), "{}", mean(900));
        assert!((15..=30).contains(&mean(200)), "{}", mean(200));
        // A noisy scorer fails the honest in five of a thousand.
        assert!((0..20).all(|seed| audits(5, seed, 10_000).is_none()));
    }

    #[test]
    fn a_good_past_is_no_credit() {
        let mut honesty = Honesty::default();
        (0..10_000).for_each(|_| honesty.audited(true));
        (0..4).for_each(|_| honesty.audited(false));
        assert!(honesty.probability() > 0.99 && honesty.is_quarantined());
        (0..10_000).for_each(|_| honesty.audited(true));
        assert!(honesty.is_quarantined(), "it is for good");
    }
}
