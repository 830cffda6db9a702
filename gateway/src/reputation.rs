//! What audits say of a provider, for one model: integrity as a Beta distribution over verdicts that fade.
//! Three numbers out of the same evidence: the lower quantile says how much it is audited and whether it may
//! be in a quorum; the mean, from a kinder prior, is what a choice costs. Slow is not dishonest: availability
//! and speed never enter. It keeps counts and no clock; where they are stored is others' to see to.

mod beta;

use serde::{Deserialize, Serialize};

/// Of verdicts that are so old, half is left.
pub const HALF_LIFE_MS: u64 = 7 * 24 * 3600 * 1000;
/// Verdicts a fail counts for.
const FAIL_WEIGHT: f64 = 5.0;
/// Beta(1, 3): who is new is worth little. And the share below the lower quantile.
const DOUBTING: (f64, f64) = (1.0, 3.0);
const LOWER: f64 = 0.05;
/// Beta(9.5, .5): who is new is as good as honest, in what a choice costs. Static upstreams have no audits,
/// and this or a configured value for good.
const TRUSTING: (f64, f64) = (9.5, 0.5);
/// With less evidence than this left, a provider is a newcomer, again or still.
const NEW_BELOW: f64 = 10.0;

/// Of one provider, for one model. Times are milliseconds of any one clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Integrity {
    /// As of `at_ms`, faded until then.
    passes: f64,
    /// With their weight.
    fails: f64,
    at_ms: u64,
}

// === impl Integrity ===

impl Integrity {
    /// One confirmed verdict.
    pub fn take(&mut self, is_fail: bool, now_ms: u64) {
        let (passes, fails) = self.faded(now_ms);
        let (pass, fail) = if is_fail { (0.0, FAIL_WEIGHT) } else { (1.0, 0.0) };
        // A clock that goes backwards makes nothing younger.
        *self = Self { passes: passes + pass, fails: fails + fail, at_ms: self.at_ms.max(now_ms) };
    }

    /// R: it is at least so honest, with 95 %.
    pub fn lower(&self, now_ms: u64) -> f64 {
        let (passes, fails) = self.faded(now_ms);
        beta::quantile(LOWER, DOUBTING.0 + passes, DOUBTING.1 + fails)
    }

    /// The expected share of honest answers, for the cost of a choice.
    pub fn honesty(&self, now_ms: u64) -> f64 {
        let (passes, fails) = self.faded(now_ms);
        let (good, bad) = (TRUSTING.0 + passes, TRUSTING.1 + fails);
        good / (good + bad)
    }

    /// Whether hardly anything is known, or no longer. Leaving for as long as verdicts take to fade ends in
    /// no better a place than coming with a new key.
    pub fn is_new(&self, now_ms: u64) -> bool {
        let (passes, fails) = self.faded(now_ms);
        passes + fails < NEW_BELOW
    }

    /// Evidence left: passes, and fails with their weight. What was kept may be no number; then it is none.
    fn faded(&self, now_ms: u64) -> (f64, f64) {
        let age = now_ms.saturating_sub(self.at_ms) as f64 / HALF_LIFE_MS as f64;
        let left = (-age * std::f64::consts::LN_2).exp();
        let sound = |count: f64| if count.is_finite() { count.max(0.0) * left } else { 0.0 };
        (sound(self.passes), sound(self.fails))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    fn with(passes: u32, fails: u32) -> Integrity {
        let mut integrity = Integrity::default();
        (0..passes).for_each(|_| integrity.take(false, 0));
        (0..fails).for_each(|_| integrity.take(true, 0));
        integrity
    }

    /// Computed by another program (mpmath's betainc, 30 digits): passes, fails, the 5 % quantile of
    /// Beta(1 + passes, 3 + 5 · fails).
    const LOWERS: [(u32, u32, f64); 10] = [
        (0, 0, 0.016_952_427_508_441_5),
        (1, 0, 0.097_611_462_886_414_3),
        (10, 0, 0.589_901_395_166_184),
        (30, 0, 0.821_265_712_402_502),
        (100, 0, 0.940_138_045_529_56),
        (1000, 0, 0.993_736_465_690_837),
        (100, 1, 0.881_708_505_144_24),
        (100, 4, 0.754_550_426_156_793),
        (0, 4, 0.002_227_658_312_405_83),
        (1000, 40, 0.813_345_955_053_176),
    ];

    #[test]
    fn the_lower_quantile_is_the_distributions() {
        for (passes, fails, lower) in LOWERS {
            let ours = with(passes, fails).lower(0);
            assert!((ours / lower - 1.0).abs() < 1e-9, "{passes} {fails}: {ours} and not {lower}");
        }
    }

    #[test]
    fn a_fail_costs_what_five_passes_earn_and_more() {
        let clean = with(100, 0).honesty(0);
        assert!((clean - 109.5 / 110.0).abs() < 1e-12);
        assert!((with(100, 1).honesty(0) - 109.5 / 115.0).abs() < 1e-12);
        assert!((Integrity::default().honesty(0) - 0.95).abs() < 1e-12);
        assert!(with(100, 1).lower(0) < with(50, 0).lower(0));
    }

    #[test]
    fn verdicts_fade_by_half_in_a_week() {
        let integrity = with(100, 4);
        let (passes, fails) = integrity.faded(HALF_LIFE_MS);
        assert!((passes - 50.0).abs() < 1e-9 && (fails - 10.0).abs() < 1e-9);
        let mut later = integrity;
        later.take(false, HALF_LIFE_MS);
        assert!((later.faded(HALF_LIFE_MS).0 - 51.0).abs() < 1e-9);
        later.take(false, 0);
        assert_eq!(later.at_ms, HALF_LIFE_MS, "time does not go backwards");
    }

    #[test]
    fn it_is_kept_as_it_was_and_never_as_no_number() {
        let integrity = with(100, 4);
        let kept = serde_json::to_string(&integrity).unwrap();
        assert_eq!(serde_json::from_str::<Integrity>(&kept).unwrap(), integrity);
        let broken = Integrity { passes: f64::NAN, fails: f64::INFINITY, at_ms: 0 };
        assert_eq!(broken.lower(0), Integrity::default().lower(0));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(3), ..ProptestConfig::with_cases(200) })]

        /// Whitewashing: with a new key, or by staying away until all is forgotten.
        #[test]
        fn leaving_and_coming_back_never_pays(
            passes in 20u32..400, fails in 0u32..40, days in 0u64..2000,
        ) {
            let veteran = with(passes, fails);
            let now_ms = days * 24 * 3600 * 1000;
            let new = Integrity::default();
            // Whoever has more than a newcomer by its passes keeps more than a newcomer …
            if veteran.lower(0) >= new.lower(0) {
                prop_assert!(veteran.lower(now_ms) >= new.lower(now_ms) - 1e-9);
            }
            // … and staying away raises nobody above what a newcomer is, nor above what it was.
            let bar = veteran.lower(0).max(new.lower(0));
            prop_assert!(veteran.lower(now_ms) <= bar + 1e-9);
            let bar = veteran.honesty(0).max(new.honesty(0));
            prop_assert!(veteran.honesty(now_ms) <= bar + 1e-9);
        }

        #[test]
        fn a_pass_never_harms_and_a_fail_never_helps(passes in 0u32..400, fails in 0u32..40) {
            let known = with(passes, fails);
            let (mut better, mut worse) = (known, known);
            better.take(false, 0);
            worse.take(true, 0);
            for figure in [Integrity::lower, Integrity::honesty] {
                prop_assert!(figure(&better, 0) >= figure(&known, 0));
                prop_assert!(figure(&worse, 0) < figure(&known, 0));
            }
        }
    }
}
