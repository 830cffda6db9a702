//! Fails over time: the cumulative sum of log-likelihood ratios (Page, 1954), which never goes below nothing.
//! A plain sequential test would let a provider bank good answers for later cheating.

use serde::{Deserialize, Serialize};

/// Share of audits that an honest provider fails, and one that cheats now and then.
const HONEST: f64 = 0.01;
const CHEATING: f64 = 0.20;
/// ln 10⁴.
pub const QUARANTINE: f64 = 9.2;

/// Of one provider, for one model.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(from = "f64", into = "f64")]
pub struct Cusum(f64);

// === impl Cusum ===

impl Cusum {
    /// Takes an audit's fail bit. True: it is to be sent away.
    pub fn take(&mut self, is_fail: bool) -> bool {
        self.0 = (self.0 + ratio(is_fail)).max(0.0);
        self.is_over()
    }

    pub fn is_over(self) -> bool {
        self.0 >= QUARANTINE
    }

    pub fn value(self) -> f64 {
        self.0
    }
}

/// What was kept may be no number.
impl From<f64> for Cusum {
    fn from(kept: f64) -> Self {
        if kept.is_nan() { Self::default() } else { Self(kept.clamp(0.0, 2.0 * QUARANTINE)) }
    }
}

impl From<Cusum> for f64 {
    fn from(cusum: Cusum) -> Self {
        cusum.0
    }
}

/// +3.00 or −0.213.
fn ratio(is_fail: bool) -> f64 {
    match is_fail {
        true => (CHEATING / HONEST).ln(),
        false => ((1.0 - CHEATING) / (1.0 - HONEST)).ln(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Random;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    #[test]
    fn ratios_are_those_of_the_design() {
        assert!((ratio(true) - 3.00).abs() < 0.005);
        assert!((ratio(false) + 0.213).abs() < 0.0005);
        assert!((QUARANTINE - 1e4f64.ln()).abs() < 0.02);
    }

    /// Mean audits until the quarantine of one that fails this share of them.
    fn mean_audits(fail_rate: f64, runs: u32) -> f64 {
        let mut random = Random::new(42);
        let mut audits = 0u64;
        for _ in 0..runs {
            let mut cusum = Cusum::default();
            loop {
                audits += 1;
                if cusum.take(random.unit() < fail_rate) {
                    break;
                }
            }
        }
        audits as f64 / f64::from(runs)
    }

    #[test]
    fn cheaters_last_as_long_as_the_design_says() {
        for (fail_rate, audits) in [(0.9, 4.4), (0.5, 8.0), (0.2, 23.0), (0.1, 69.0)] {
            let mean = mean_audits(fail_rate, 20_000);
            assert!((mean / audits - 1.0).abs() < 0.06, "{fail_rate}: {mean} and not {audits}");
        }
    }

    #[test]
    fn honest_providers_last() {
        let mean = mean_audits(0.01, 20);
        assert!(mean > 50_000.0, "{mean}");
    }

    #[test]
    fn good_answers_are_not_banked() {
        let (mut new, mut old) = (Cusum::default(), Cusum::default());
        (0..1_000_000).for_each(|_| assert!(!old.take(false)));
        let fails = |cusum: &mut Cusum| (1..).find(|_| cusum.take(true));
        assert_eq!((fails(&mut new), fails(&mut old)), (Some(4), Some(4)));
    }

    #[test]
    fn what_was_kept_is_what_it_was_and_never_no_number() {
        let mut cusum = Cusum::default();
        cusum.take(true);
        let kept = serde_json::to_string(&cusum).unwrap();
        assert_eq!(serde_json::from_str::<Cusum>(&kept).unwrap(), cusum);
        assert_eq!(Cusum::from(f64::NAN), Cusum::default());
        assert_eq!(Cusum::from(-1.0), Cusum::default());
        assert!(Cusum::from(f64::INFINITY).is_over());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::with_cases(200) })]
        #[test]
        fn it_is_what_the_worst_stretch_of_audits_says(bits: Vec<bool>) {
            let mut cusum = Cusum::default();
            for end in 0..bits.len() {
                cusum.take(bits[end]);
                let worst = (0..=end).map(|from| bits[from..=end].iter().map(|bit| ratio(*bit)).sum());
                let worst: f64 = worst.fold(0.0, f64::max);
                prop_assert!((cusum.value() - worst).abs() < 1e-6);
            }
        }
    }
}
