//! How much of what a provider answers is audited: all of a newcomer's first requests, then the less the
//! more its integrity is worth. Cheating does not pay as long as the rate is above g / (d (g + P)): what is
//! gained, how likely an audit finds it, what is lost.

/// Of the most honest.
pub const RATE_MIN: f64 = 0.02;
/// So many requests of a newcomer are all audited.
pub const FIRST_REQUESTS: u64 = 30;

/// `requests`: of it, for the model, so far. `integrity`: the lower quantile of it
/// ([`Integrity::lower`](crate::reputation::Integrity::lower)); what is no number is worth nothing.
pub fn rate(integrity: f64, requests: u64) -> f64 {
    if requests < FIRST_REQUESTS || integrity.is_nan() {
        return 1.0;
    }
    let doubt = 1.0 - integrity.clamp(0.0, 1.0);
    (RATE_MIN + (1.0 - RATE_MIN) * doubt * doubt).clamp(RATE_MIN, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    #[test]
    fn newcomers_are_audited_always_the_honest_hardly() {
        assert_eq!(rate(1.0, 0), 1.0);
        assert_eq!(rate(1.0, 29), 1.0);
        assert_eq!(rate(1.0, 30), RATE_MIN);
        assert_eq!(rate(0.0, 30), 1.0);
        assert!((rate(0.8, 30) - 0.0592).abs() < 1e-12);
        assert_eq!(rate(f64::NAN, 30), 1.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(2), ..ProptestConfig::with_cases(200) })]
        #[test]
        fn it_falls_with_integrity_and_stays_in_its_bounds(a in -1.0..2.0f64, b in -1.0..2.0f64) {
            prop_assert!(rate(a.min(b), 30) >= rate(a.max(b), 30));
            prop_assert!((RATE_MIN..=1.0).contains(&rate(a, 30)));
        }
    }
}
