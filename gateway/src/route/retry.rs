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
