//! The probability that a provider fails a request: Beta(0.1, 1.9) and what was seen, which fades with a
//! time constant of 60 s.

const PRIOR_BAD: f32 = 0.1;
const PRIOR_GOOD: f32 = 1.9;
const FADE_MS: f32 = 60_000.0;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Failures {
    pub(super) bad: f32,
    pub(super) good: f32,
    /// As of when.
    pub(super) at_ms: u64,
}

// === impl Failures ===

impl Failures {
    pub(super) fn note(&mut self, is_bad: bool, now_ms: u64) {
        let left = self.left(now_ms);
        self.bad *= left;
        self.good *= left;
        self.at_ms = now_ms;
        match is_bad {
            true => self.bad += 1.0,
            false => self.good += 1.0,
        }
    }

    pub(super) fn probability(&self, now_ms: u64) -> f32 {
        let left = self.left(now_ms);
        let (bad, good) = (self.bad * left + PRIOR_BAD, self.good * left + PRIOR_GOOD);
        bad / (bad + good)
    }

    fn left(&self, now_ms: u64) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "an exponent")]
        let past = now_ms.saturating_sub(self.at_ms) as f32;
        // Nothing of it is left after ten time constants, and exp is dear.
        if past == 0.0 {
            1.0
        } else if past > 10.0 * FADE_MS {
            0.0
        } else {
            (-past / FADE_MS).exp()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_fails_one_of_twenty() {
        assert!((Failures::default().probability(5) - 0.05).abs() < 1e-6);
    }

    #[test]
    fn it_follows_what_is_seen() {
        let mut failures = Failures::default();
        for _ in 0..98 {
            failures.note(false, 0);
        }
        assert!(failures.probability(0) < 0.002);
        failures.note(true, 0);
        assert!((0.010..0.012).contains(&failures.probability(0)));
    }

    #[test]
    fn what_was_seen_fades_to_the_prior() {
        let mut failures = Failures::default();
        for _ in 0..10 {
            failures.note(true, 1_000);
        }
        let share = |ms: u64| {
            let left = 10.0 * (-(ms as f32) / FADE_MS).exp();
            (left + PRIOR_BAD) / (left + PRIOR_BAD + PRIOR_GOOD)
        };
        for ms in [0, 30_000, 60_000, 300_000] {
            assert!((failures.probability(1_000 + ms) - share(ms)).abs() < 1e-4, "{ms}");
        }
        assert!((failures.probability(1_000_000) - 0.05).abs() < 1e-6);
        // A clock that went back changes nothing.
        assert_eq!(failures.probability(0), failures.probability(1_000));
    }
}
