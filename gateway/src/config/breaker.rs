//! `[breaker]`: when a provider that fails is left alone, for how long, and how many of them at once.

use serde::Deserialize;
use std::ops::RangeInclusive;

use super::problem::Problems;
use crate::route::breaker::Rules;
use crate::route::choice::EJECTED_MAX;

const FAILURES: RangeInclusive<u64> = 1..=1_000;
/// From a moment to a day.
const BACKOFF_MS: RangeInclusive<u64> = 100..=86_400_000;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Breaker {
    pub rules: Rules,
    /// Share of a model's providers: where more are ejected, and nobody else is left, they are asked all
    /// the same.
    pub ejected_max: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawBreaker {
    failures: Option<u64>,
    backoff_ms: Option<u64>,
    backoff_max_ms: Option<u64>,
    ejected_max: Option<f64>,
}

// === impl Breaker ===

impl Default for Breaker {
    fn default() -> Self {
        Self { rules: Rules::default(), ejected_max: EJECTED_MAX }
    }
}

// === impl RawBreaker ===

impl RawBreaker {
    pub(super) fn check(&self, problems: &mut Problems) -> Breaker {
        let Rules { failures, backoff_ms, backoff_max_ms } = Rules::default();
        let mut within = |name: &str, value: Option<u64>, default, range: RangeInclusive<u64>| {
            let value = value.unwrap_or(default);
            if !range.contains(&value) {
                let (min, max) = (range.start(), range.end());
                let what = format!("{value} is not between {min} and {max}");
                problems.add(format!("breaker.{name}"), what);
            }
            value
        };
        let failures = within("failures", self.failures, failures.into(), FAILURES);
        let backoff_ms = within("backoff_ms", self.backoff_ms, backoff_ms, BACKOFF_MS);
        // Who only makes the first pause longer means the longest to be no shorter.
        let longest = backoff_max_ms.max(backoff_ms);
        let backoff_max_ms = within("backoff_max_ms", self.backoff_max_ms, longest, BACKOFF_MS);
        if backoff_ms > backoff_max_ms {
            problems.add("breaker.backoff_ms", "must not be larger than breaker.backoff_max_ms");
        }
        let ejected_max = self.ejected_max.unwrap_or(EJECTED_MAX);
        if !(0.0..=1.0).contains(&ejected_max) {
            problems.add("breaker.ejected_max", format!("{ejected_max} is not between 0 and 1"));
        }
        let failures = u32::try_from(failures).unwrap_or(u32::MAX);
        Breaker { rules: Rules { failures, backoff_ms, backoff_max_ms }, ejected_max }
    }
}
