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
