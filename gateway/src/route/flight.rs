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

/// What is left sooner says nothing about its speed.
const LEFT_MS: u64 = 1_000;

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
            self.learned.succeeded(self.dispatch.at_ms, now_ms, None);
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
        self.learned.succeeded(self.dispatch.at_ms, now_ms, speed);
        self.is_told = true;
    }

    /// It was left in the middle of its answer, after so many tokens. One who drips would never be known to
    /// be slow by answers that nobody waits for.
    pub fn left(&self, now_ms: u64, tokens: u64) {
        let Some(first_ms) = self.first_ms else { return };
        let since = now_ms.saturating_sub(first_ms);
        if since >= LEFT_MS && tokens > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a speed")]
            self.learned.speed(tokens as f32 / (since as f32 / 1e3));
        }
    }

    /// `jitter`: from 0 to 1, for the pause that may follow.
    pub fn failed(&mut self, failure: Failure, now_ms: u64, jitter: f64) {
        if failure == Failure::Slow {
            self.censored(now_ms);
        }
        self.learned.failed(failure, self.dispatch.at_ms, now_ms, jitter);
        self.is_told = true;
    }

    /// Nobody waits for it any more: another was faster, or the client left. How long its first token had
    /// been waited for, if it had not come, in seconds.
    pub fn censored(&self, now_ms: u64) -> Option<f32> {
        if self.first_ms.is_some() {
            return None;
        }
        self.learned.first_token(&self.dispatch, now_ms, true);
        Some(self.dispatch.seconds(now_ms))
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

#[cfg(test)]
mod tests {
    use super::super::example::ASK;
    use super::super::{Gate, Prior};
    use super::*;

    const PREFIX: Prefix = Prefix { short: 1 << 32, long: 2 << 32 };

    fn learned() -> Arc<Learned> {
        Arc::new(Learned::new(Prior::default()))
    }

    fn begin(learned: &Arc<Learned>, now_ms: u64) -> Flight {
        let facts = learned.facts(&ASK, &PREFIX, now_ms);
        Flight::begin(learned, &facts, &ASK, PREFIX, now_ms, false)
    }

    fn fail(learned: &Arc<Learned>, times: u64) {
        for number in 0..times {
            begin(learned, number).failed(Failure::Hard, number, 1.0);
        }
    }

    fn probe(learned: &Arc<Learned>, now_ms: u64) -> Flight {
        assert!(learned.claim_probe(now_ms));
        let facts = learned.facts(&ASK, &PREFIX, now_ms);
        Flight::begin(learned, &facts, &ASK, PREFIX, now_ms, true)
    }

    #[test]
    fn it_counts_while_it_flies() {
        let learned = learned();
        let (one, two) = (begin(&learned, 0), begin(&learned, 0));
        assert_eq!((one.dispatch().in_flight, two.dispatch().in_flight), (1, 2));
        assert_eq!(learned.in_flight(0), 2);
        drop(one);
        assert_eq!(learned.in_flight(0), 1);
        drop(two);
        assert_eq!(learned.in_flight(0), 0);
    }

    #[test]
    fn first_tokens_and_answers_teach_its_speed() {
        let learned = learned();
        for number in 0..100 {
            let mut flight = begin(&learned, number * 10_000);
            let ratio = flight.first_token(number * 10_000 + 200);
            assert!(ratio < 1.0);
            flight.succeeded(number * 10_000 + 1_200, 100, None);
        }
        let facts = learned.facts(&ASK, &Prefix::default(), 0);
        assert!((0.15..0.35).contains(&facts.first_token_s(&ASK)), "{facts:?}");
        assert!((99.0..101.0).contains(&facts.tokens_per_s), "{facts:?}");
        assert!(facts.failure < 0.05);
        // The prompt is in its cache by now.
        assert_eq!(learned.facts(&ASK, &PREFIX, 0).cached_tokens, 512.0);
    }

    #[test]
    fn one_spike_is_learned_as_a_small_one() {
        let learned = learned();
        let before = learned.facts(&ASK, &PREFIX, 0).first_token_s(&ASK);
        begin(&learned, 0).first_token(60_000);
        let after = learned.facts(&ASK, &Prefix::default(), 0).first_token_s(&ASK);
        assert!(after > before && after < 2.0 * before, "{before} {after}");
    }

    #[test]
    fn what_was_given_up_early_teaches_nothing_and_late_a_bound() {
        let learned = learned();
        let before = learned.facts(&ASK, &PREFIX, 0);
        begin(&learned, 0).censored(100);
        assert_eq!(learned.facts(&ASK, &PREFIX, 0), before);
        begin(&learned, 0).censored(5_000);
        assert!(learned.facts(&ASK, &PREFIX, 0).base_s > before.base_s);
        // After its first token there is nothing to bound.
        let mut flight = begin(&learned, 0);
        flight.first_token(100);
        let before = learned.facts(&ASK, &PREFIX, 0);
        flight.censored(90_000);
        assert_eq!(learned.facts(&ASK, &PREFIX, 0), Facts { in_flight: 1, ..before });
    }

    #[test]
    fn one_dropped_without_a_word_is_only_over() {
        let learned = learned();
        let before = learned.facts(&ASK, &PREFIX, 0);
        drop(begin(&learned, 0));
        assert_eq!(learned.facts(&ASK, &PREFIX, 0), before);
        assert_eq!(learned.gate(0), Gate::Closed);
    }

    #[test]
    fn failures_eject_and_a_probes_first_token_brings_back() {
        let learned = learned();
        fail(&learned, 5);
        assert_eq!(learned.gate(5), Gate::Open { until_ms: 5_004 });
        assert_eq!(learned.gate(5_004), Gate::Probe);
        let mut flight = probe(&learned, 5_004);
        assert!(!learned.claim_probe(5_004), "there is one probe");
        // Another provider's first token was the client's: this one's tells all the same.
        flight.first_token(6_000);
        drop(flight);
        assert_eq!(learned.gate(6_000), Gate::Closed);
    }

    #[test]
    fn a_probe_that_fails_ejects_for_longer() {
        let learned = learned();
        fail(&learned, 5);
        probe(&learned, 5_004).failed(Failure::Slow, 10_000, 1.0);
        assert_eq!(learned.gate(10_000), Gate::Open { until_ms: 20_000 });
    }

    #[test]
    fn a_probe_that_was_cut_off_says_nothing() {
        let learned = learned();
        fail(&learned, 5);
        drop(probe(&learned, 5_004));
        // Another may go, if not at once.
        assert_eq!(learned.gate(60_000), Gate::Probe);
        assert!(learned.claim_probe(60_000));
    }

    #[test]
    fn limits_pause_and_do_not_eject() {
        let learned = learned();
        for number in 0..5 {
            let limited = Failure::Limited { pause_ms: 2_000 };
            begin(&learned, number).failed(limited, number, 1.0);
        }
        assert_eq!(learned.gate(5), Gate::Closed);
        assert_eq!(learned.paused_until_ms(), 2_004);
        let facts = learned.facts(&ASK, &PREFIX, 5);
        assert!(facts.limit < 4.0 && facts.failure < 0.06, "{facts:?}");
    }

    #[test]
    fn a_limit_told_again_and_again_is_a_longer_pause_until_something_is_taken() {
        let learned = learned();
        let mut now = 1_000;
        let mut pauses = Vec::new();
        let limited = |now: u64, pause_ms: u64| {
            begin(&learned, now).failed(Failure::Limited { pause_ms }, now + 1, 1.0);
            learned.paused_until_ms() - now - 1
        };
        for _ in 0..9 {
            let pause_ms = limited(now, 0);
            // Those under way with it are the same sign.
            assert_eq!(limited(now, 0), pause_ms);
            pauses.push(pause_ms);
            now += pause_ms + 2;
        }
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        begin(&learned, now).succeeded(now, 1, None);
        assert_eq!(limited(now, 500), 500, "its own word, after it took one");
    }
}
