//! One attempt on its way: what was expected of it when it went, and what becomes of it. Whoever drops it
//! without a word learns nothing but that it is over.

use std::sync::Arc;

use super::cost::{Ask, Facts};
use super::learned::{Failure, Learned};
use super::prefix::Prefix;

/// What was expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dispatch {
    pub at_ms: u64,
    /// T: seconds to the first token without a queue.
    pub idle_s: f32,
    /// T·Φ(u).
    pub predicted_s: f32,
    /// u, with this attempt.
    pub utilisation: f32,
    /// With this attempt.
    pub in_flight: u32,
    /// Of the prompt, those not expected in the cache.
    pub fresh_tokens: f32,
    pub is_probe: bool,
}

#[derive(Debug)]
pub struct Flight {
    learned: Arc<Learned>,
    dispatch: Dispatch,
    prefix: Prefix,
    first_ms: Option<u64>,
    /// The probe's outcome is told.
    is_told: bool,
}

// === impl Dispatch ===

impl Dispatch {
    /// Since it went.
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    pub(super) fn seconds(&self, now_ms: u64) -> f32 {
        now_ms.saturating_sub(self.at_ms) as f32 / 1e3
    }
}

// === impl Flight ===

impl Flight {
    /// `facts`: those that the choice was made by. `is_probe`: the caller has claimed it.
    pub fn begin(
        learned: &Arc<Learned>,
        facts: &Facts,
        ask: &Ask,
        prefix: Prefix,
        now_ms: u64,
        is_probe: bool,
    ) -> Self {
        let (idle, fresh) = (facts.first_token_s(ask), ask.prompt_tokens - facts.cached_tokens);
        #[expect(clippy::cast_possible_truncation, reason = "seven digits are enough")]
        let dispatch = Dispatch {
            at_ms: now_ms,
            idle_s: idle as f32,
            predicted_s: (idle * facts.congestion()) as f32,
            utilisation: facts.utilisation() as f32,
            in_flight: facts.in_flight.saturating_add(1),
            fresh_tokens: fresh.max(0.0) as f32,
            is_probe,
        };
        learned.begun(now_ms);
        Self { learned: learned.clone(), dispatch, prefix, first_ms: None, is_told: false }
    }

    pub fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// The first token came. How late: observed over predicted.
    pub fn first_token(&mut self, now_ms: u64) -> f32 {
        self.first_ms = Some(now_ms);
        self.learned.first_token(&self.dispatch, now_ms, false);
        self.learned.prefixes.sent(&self.prefix);
        if self.dispatch.is_probe && !self.is_told {
            // It works again: known now, whoever's token the client gets.
            self.learned.succeeded(now_ms, None);
            self.is_told = true;
        }
        self.dispatch.seconds(now_ms) / self.dispatch.predicted_s.max(1e-3)
    }

    /// The whole answer came, of so many tokens. `cached_tokens`: of the prompt, as charged.
    pub fn succeeded(&mut self, now_ms: u64, tokens: u64, cached_tokens: Option<u64>) {
        let since = now_ms.saturating_sub(self.first_ms.unwrap_or(now_ms));
        // A few tokens in a few milliseconds are no speed.
        #[expect(clippy::cast_precision_loss, reason = "a speed")]
        let speed = (tokens > 8 && since >= 20).then(|| tokens as f32 / (since as f32 / 1e3));
        if let Some(cached) = cached_tokens {
            self.learned.prefixes.charged(&self.prefix, cached);
        }
        self.learned.succeeded(now_ms, speed);
        self.is_told = true;
    }

    /// `jitter`: from 0 to 1, for the pause that may follow.
    pub fn failed(&mut self, failure: Failure, now_ms: u64, jitter: f64) {
        if failure == Failure::Slow {
            self.censored(now_ms);
        }
        self.learned.failed(failure, self.dispatch.at_ms, now_ms, jitter);
        self.is_told = true;
    }

    /// Nobody waits for it any more: another was faster, or the client left.
    pub fn censored(&self, now_ms: u64) {
        if self.first_ms.is_none() {
            self.learned.first_token(&self.dispatch, now_ms, true);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.learned.ended();
        if self.dispatch.is_probe && !self.is_told {
            // A probe that was cut off says nothing; another may go.
            self.learned.unclaim(self.dispatch.at_ms);
        }
    }
}
