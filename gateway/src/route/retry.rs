//! What a model's requests may retry together: 20 % of them and 10 a second (Finagle's RetryBudget), so
//! that an outage is not answered with three times the load.

use std::sync::{Mutex, PoisonError};

/// Retries for each request.
const SHARE: f64 = 0.2;
const PER_SECOND: f64 = 10.0;
/// Seconds after which what was not used is forgotten.
const KEPT_S: f64 = 10.0;
/// Of the share, at most.
const KEPT_MAX: f64 = 1_000.0;

/// Of one model, shared by its requests.
#[derive(Debug, Default)]
pub struct Retries(Mutex<State>);

#[derive(Debug)]
struct State {
    /// By the requests.
    earned: f64,
    /// By the time.
    given: f64,
    at_ms: u64,
}

// === impl Retries ===

impl Default for State {
    fn default() -> Self {
        Self { earned: 0.0, given: PER_SECOND * KEPT_S, at_ms: 0 }
    }
}

impl Retries {
    pub fn request(&self, now_ms: u64) {
        let mut state = self.state(now_ms);
        state.earned = (state.earned + SHARE).min(KEPT_MAX);
    }

    /// Takes one; false where there is none.
    pub fn take(&self, now_ms: u64) -> bool {
        let mut state = self.state(now_ms);
        let from = if state.earned >= 1.0 { &mut state.earned } else { &mut state.given };
        let has = *from >= 1.0;
        if has {
            *from -= 1.0;
        }
        has
    }

    fn state(&self, now_ms: u64) -> std::sync::MutexGuard<'_, State> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        #[expect(clippy::cast_precision_loss, reason = "seconds")]
        let past_s = now_ms.saturating_sub(state.at_ms) as f64 / 1e3;
        state.at_ms = state.at_ms.max(now_ms);
        if past_s > 0.0 {
            state.given = (state.given + PER_SECOND * past_s).min(PER_SECOND * KEPT_S);
            state.earned *= (-past_s / KEPT_S).exp();
        }
        state
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small numbers")]
mod tests {
    use super::*;

    fn taken(retries: &Retries, now_ms: u64, wanted: u32) -> u32 {
        (0..wanted).filter(|_| retries.take(now_ms)).count() as u32
    }

    #[test]
    fn a_quiet_model_has_ten_a_second() {
        let retries = Retries::default();
        assert_eq!(taken(&retries, 0, 1_000), 100);
        assert_eq!(taken(&retries, 1_000, 1_000), 10);
        assert_eq!(taken(&retries, 1_500, 1_000), 5);
        // Kept for ten seconds at most.
        assert_eq!(taken(&retries, 1_000_000, 1_000), 100);
    }

    #[test]
    fn a_busy_one_has_a_fifth_of_its_requests_too() {
        let retries = Retries::default();
        taken(&retries, 0, 1_000);
        (0..500).for_each(|_| retries.request(0));
        // Of the sum, rounding leaves 99 or 100.
        assert!((99..=100).contains(&taken(&retries, 0, 1_000)));
    }

    #[test]
    fn what_was_earned_fades() {
        let retries = Retries::default();
        (0..500).for_each(|_| retries.request(0));
        // Of the 100 earned 37 are left after ten seconds, and the 100 given are as they were.
        assert!((134..=137).contains(&taken(&retries, 10_000, 1_000)));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let retries = Retries::default();
        taken(&retries, 60_000, 1_000);
        assert_eq!(taken(&retries, 0, 10), 0);
        assert_eq!(taken(&retries, 60_000, 10), 0);
    }
}
