//! `[hedging]`: whether a second provider is asked where the first is late, when, and what that may cost.

use serde::Deserialize;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::problem::Problems;
use crate::route::hedge::Budget;

/// Second attempts at late first tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hedging {
    pub enabled: bool,
    /// What it may take of a model's requests and of what they cost.
    pub budget: Budget,
    /// A first token is never late before, and always late after.
    pub delay: (Duration, Duration),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawHedging {
    enabled: Option<bool>,
    credits: Option<f64>,
    spend_share: Option<f64>,
    delay_min_ms: Option<u64>,
    delay_max_ms: Option<u64>,
}

const DELAY_MIN_MS: u64 = 300;
const DELAY_MAX_MS: u64 = 8_000;

// === impl Hedging ===

impl Default for Hedging {
    fn default() -> Self {
        let (min, max) = (Duration::from_millis(DELAY_MIN_MS), Duration::from_millis(DELAY_MAX_MS));
        Self { enabled: true, budget: Budget::default(), delay: (min, max) }
    }
}

// === impl RawHedging ===

impl RawHedging {
    pub(super) fn check(&self, problems: &mut Problems) -> Hedging {
        let defaults = Hedging::default();
        let Budget { credits, spend_share } = defaults.budget;
        let mut share = |name: &str, value: Option<f64>, default: f32| {
            let value = value.unwrap_or_else(|| default.into());
            if !(0.0..=1.0).contains(&value) {
                problems.add(format!("hedging.{name}"), format!("{value} is not between 0 and 1"));
            }
            #[expect(clippy::cast_possible_truncation, reason = "a share")]
            let value = value as f32;
            value
        };
        let credits = share("credits", self.credits, credits);
        let spend_share = share("spend_share", self.spend_share, spend_share);
        // The route itself goes no further.
        let range = DELAY_MIN_MS..=DELAY_MAX_MS;
        let delay_min = within("delay_min_ms", self.delay_min_ms, DELAY_MIN_MS, &range, problems);
        let delay_max = within("delay_max_ms", self.delay_max_ms, DELAY_MAX_MS, &range, problems);
        if delay_min > delay_max {
            problems.add("hedging.delay_min_ms", "must not be larger than hedging.delay_max_ms");
        }
        Hedging {
            enabled: self.enabled.unwrap_or(defaults.enabled),
            budget: Budget { credits, spend_share },
            delay: (delay_min, delay_max),
        }
    }
}

fn within(
    name: &str,
    value: Option<u64>,
    default: u64,
    range: &RangeInclusive<u64>,
    problems: &mut Problems,
) -> Duration {
    let value = value.unwrap_or(default);
    if !range.contains(&value) {
        let (min, max) = (range.start(), range.end());
        problems.add(format!("hedging.{name}"), format!("{value} is not between {min} and {max}"));
    }
    Duration::from_millis(value)
}
