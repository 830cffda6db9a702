//! Which answers are audited, by the design of the audits to come: a newcomer's first thirty all, later as
//! many as its record asks for; and what an audit finds. Whoever chooses is told the verdicts, nothing else.

use rand::Rng;

/// Of a newcomer.
const FIRST: u32 = 30;
const RATE_MIN: f64 = 0.02;
/// Beta(1, 3), and what a failed audit weighs.
const GOOD: f64 = 1.0;
const BAD: f64 = 3.0;
const FAILED: f64 = 5.0;
/// Standard deviations below the mean: the lower 5 % of a normal distribution.
const LOWER: f64 = 1.645;
/// Of liars' answers, those found out.
const DETECTION: f64 = 0.9;

/// Of one provider.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Audits {
    answers: u32,
    passed: u32,
    failed: u32,
}

// === impl Audits ===

impl Audits {
    /// An answer came; the verdict, where it is audited.
    pub(super) fn answered(&mut self, is_liar: bool, rng: &mut impl Rng) -> Option<bool> {
        self.answers = self.answers.saturating_add(1);
        let is_new = self.answers <= FIRST;
        if !is_new && !rng.random_bool(self.rate()) {
            return None;
        }
        let is_honest = !is_liar || !rng.random_bool(DETECTION);
        match is_honest {
            true => self.passed += 1,
            false => self.failed += 1,
        }
        Some(is_honest)
    }

    fn rate(&self) -> f64 {
        let good = GOOD + f64::from(self.passed);
        let bad = BAD + FAILED * f64::from(self.failed);
        let (sum, mean) = (good + bad, good / (good + bad));
        let deviation = (mean * (1.0 - mean) / (sum + 1.0)).sqrt();
        let integrity = (mean - LOWER * deviation).clamp(0.0, 1.0);
        (RATE_MIN + (1.0 - RATE_MIN) * (1.0 - integrity).powi(2)).clamp(RATE_MIN, 1.0)
    }
}
