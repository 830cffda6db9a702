//! How long a race waits: until a second provider is asked beside a late one, and until a late one is
//! given up for another. Pure.

use std::time::Duration;

use crate::config::{Hedging, Limits};
use crate::route::Dispatch;
use crate::route::hedge::Hedges;

/// No provider is given up sooner, however fast it was expected.
const PATIENCE_MIN: Duration = Duration::from_secs(5);
/// Of the hedge's delay.
const PATIENCE: u32 = 4;
/// Of what was expected: a long prompt takes its time.
const EXPECTED: f32 = 2.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    /// From the dispatch on: the first token is late.
    pub(super) late: Duration,
    /// From the dispatch on: if there is another provider, it has its turn.
    pub(super) given_up: Duration,
}

// === impl Patience ===

impl Patience {
    pub(super) fn new(
        hedges: &Hedges,
        hedging: &Hedging,
        limits: &Limits,
        dispatch: &Dispatch,
    ) -> Self {
        let (min, max) = hedging.delay;
        let late = seconds(hedges.delay_s(dispatch.predicted_s)).clamp(min, max.max(min));
        let given_up = (late * PATIENCE)
            .max(PATIENCE_MIN)
            .max(seconds(EXPECTED * dispatch.predicted_s))
            .min(limits.first_content);
        Self { late, given_up }
    }
}

fn seconds(seconds: f32) -> Duration {
    // What is no time is no hurry.
    Duration::try_from_secs_f32(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(predicted_s: f32, limits: &Limits) -> Patience {
        let dispatch = Dispatch {
            at_ms: 0,
            idle_s: predicted_s,
            predicted_s,
            utilisation: 0.1,
            in_flight: 1,
            fresh_tokens: 100.0,
            is_probe: false,
        };
        Patience::new(&Hedges::default(), &Hedging::default(), limits, &dispatch)
    }

    #[test]
    fn a_provider_is_given_up_long_after_it_is_late() {
        let limits = Limits::default();
        let (late, given_up) = (Duration::from_millis(1500), Duration::from_secs(6));
        assert_eq!(patience(0.5, &limits), Patience { late, given_up });
        // The fast are not given up in a hurry.
        assert_eq!(patience(0.01, &limits).late.as_millis(), 300);
        assert_eq!(patience(0.01, &limits).given_up, PATIENCE_MIN);
        // A long prompt is late after 8 s at the latest, and has twice what was expected.
        assert_eq!(patience(25.0, &limits).late, Duration::from_secs(8));
        assert_eq!(patience(25.0, &limits).given_up, Duration::from_secs(50));
    }

    #[test]
    fn the_limit_is_the_end_of_it() {
        let limits = Limits { first_content: Duration::from_secs(2), ..Limits::default() };
        for predicted_s in [0.01, 0.5, 25.0, f32::INFINITY, f32::NAN] {
            assert!(patience(predicted_s, &limits).given_up <= Duration::from_secs(2));
        }
    }
}
