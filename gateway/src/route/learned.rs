//! What is learned of one provider for one model, by requests alone. Readers load a few atomics and never
//! wait; whoever has something to tell takes a lock of its own for some nanoseconds, twice a request.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::atomic::AtomicF32;
use super::breaker::{self, Breaker, Gate};
use super::choice::UTILISATION_MAX;
use super::concurrency::{Concurrency, Sent};
use super::cost::{Ask, BATCH, Facts};
use super::failures::Failures;
use super::flight::Dispatch;
use super::honesty::Honesty;
use super::prefix::{Prefix, Prefixes};
use super::refusals::Refusals;
use super::ttft::Ttft;

/// A load that a provider told counts for so long: older load makes all gateways go to the same places.
const TOLD_MS: u64 = 500;
/// Of each new speed in the mean.
const SPEED_SHARE: f32 = 0.2;
/// Tokens a second, before anything is known.
const TOKENS_PER_S: f32 = 40.0;
/// Of [`Learned::ejected_until_ms`]: for ever.
const QUARANTINED: u64 = u64::MAX;
/// More than twice the prediction is learned as twice: one late token must not make a provider slow.
const CLIP: f32 = 2.0;
/// So many times less than the prediction refutes what led to it.
const REFUTED: f32 = 4.0;
/// Nobody feels the difference between shorter times, and a machine that is busy for some milliseconds is
/// no sign of congestion.
const FELT_S: f32 = 0.05;
/// What came at a higher load says nothing about a provider without a queue.
const UNCONGESTED: f32 = 0.5;

/// Shared by all requests. In the order of what the choice reads: its first two cache lines are all that a
/// look at a candidate needs.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Learned {
    in_flight: AtomicU32,
    /// Running and waiting there, as it told last, and when.
    told: AtomicU32,
    told_ms: AtomicU64,
    prices: [AtomicF32; 3],
    base_s: AtomicF32,
    prompt_token_s: AtomicF32,
    limit: AtomicF32,
    /// Of that limit, while it is still to be found out.
    ceiling: AtomicF32,
    tokens_per_s: AtomicF32,
    honesty: AtomicF32,
    bad: AtomicF32,
    good: AtomicF32,
    failures_ms: AtomicU64,
    /// 0: the breaker is closed; or [`QUARANTINED`].
    ejected_until_ms: AtomicU64,
    /// Its word: not before.
    paused_until_ms: AtomicU64,
    used_ms: AtomicU64,
    pub(super) prefixes: Prefixes,
    state: Mutex<State>,
}

/// What only who learns needs.
#[derive(Debug)]
struct State {
    ttft: Ttft,
    concurrency: Concurrency,
    failures: Failures,
    breaker: Breaker,
    refusals: Refusals,
    honesty: Honesty,
}

/// What is known before the first request.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Prior {
    /// Seconds there and back.
    pub round_trip_s: f32,
    /// Requests at once that it says it bears.
    pub advertised: Option<u32>,
    /// Tokens a second, measured.
    pub tokens_per_s: Option<f32>,
    /// When it is to be left alone.
    pub breaker: breaker::Rules,
}

/// What became of a request there, where that says something of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It broke, or answered what is no answer.
    Hard,
    /// No first token in time.
    Slow,
    /// It is at its limit, and says when to come again.
    Limited { pause_ms: u64 },
}

// === impl Learned ===

impl Learned {
    pub fn new(prior: Prior) -> Self {
        let (ttft, line) = (Ttft::new(prior.round_trip_s), Ttft::new(prior.round_trip_s).line());
        let concurrency = Concurrency::new(advertised(prior.advertised));
        Self {
            in_flight: AtomicU32::new(0),
            told: AtomicU32::new(0),
            told_ms: AtomicU64::new(0),
            prices: Default::default(),
            base_s: AtomicF32::new(line.base_s),
            prompt_token_s: AtomicF32::new(line.prompt_token_s),
            limit: AtomicF32::new(concurrency.limit()),
            ceiling: AtomicF32::new(concurrency.ceiling()),
            tokens_per_s: AtomicF32::new(prior.tokens_per_s.unwrap_or(TOKENS_PER_S)),
            honesty: AtomicF32::new(Honesty::default().probability()),
            bad: AtomicF32::default(),
            good: AtomicF32::default(),
            failures_ms: AtomicU64::new(0),
            ejected_until_ms: AtomicU64::new(0),
            paused_until_ms: AtomicU64::new(0),
            used_ms: AtomicU64::new(0),
            prefixes: Prefixes::default(),
            state: Mutex::new(State {
                ttft,
                concurrency,
                failures: Failures::default(),
                breaker: Breaker::new(prior.breaker),
                refusals: Refusals::default(),
                honesty: Honesty::default(),
            }),
        }
    }

    /// Dollars per million tokens: of the prompt, of a cached prompt, of the answer.
    pub fn price(&self, prompt: f64, cached: f64, answer: f64) {
        for (price, now) in self.prices.iter().zip([prompt, cached, answer]) {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "seven digits of a price are enough"
            )]
            price.store(now as f32);
        }
    }

    /// Requests that it says it bears at once.
    pub fn advertise(&self, requests: Option<u32>) {
        let mut state = self.state();
        state.concurrency.set_max(advertised(requests));
        self.bears(&state);
    }

    /// Seconds there and back, measured: what the first token takes beside is as before.
    pub fn round_trip(&self, seconds: f32) {
        let mut state = self.state();
        state.ttft.set_round_trip(seconds);
        let line = state.ttft.line();
        self.base_s.store(line.base_s);
    }

    /// Tokens a second, measured by the gateway itself; requests' own speeds count for more.
    pub fn measured(&self, tokens_per_s: f32) {
        if self.used_ms.load(Relaxed) == 0 {
            self.tokens_per_s.store(tokens_per_s);
        }
    }

    /// Requests of all gateways that it runs or lets wait.
    pub fn told(&self, requests: u32, now_ms: u64) {
        self.told.store(requests, Relaxed);
        self.told_ms.store(now_ms, Relaxed);
    }

    /// Requests of ours under way, or all that it told of just now, whichever is more: what it tells can
    /// only keep requests away.
    pub fn in_flight(&self, now_ms: u64) -> u32 {
        let own = self.in_flight.load(Relaxed);
        match now_ms.saturating_sub(self.told_ms.load(Relaxed)) < TOLD_MS {
            true => own.max(self.told.load(Relaxed)),
            false => own,
        }
    }

    pub fn facts(&self, ask: &Ask, prefix: &Prefix, now_ms: u64) -> Facts {
        let [price_in, price_cached, price_out] = &self.prices;
        let failures = Failures {
            bad: self.bad.load(),
            good: self.good.load(),
            at_ms: self.failures_ms.load(Relaxed),
        };
        let in_flight = self.in_flight(now_ms);
        // As long as nothing was too much for it, one more is dear and not refused: else a crowd that
        // comes at once would wait for a limit that nobody knows.
        let known = f64::from(self.limit.load());
        let more = (f64::from(in_flight) + 1.0) / UTILISATION_MAX;
        Facts {
            price_in: price_in.load().into(),
            price_cached: price_cached.load().into(),
            price_out: price_out.load().into(),
            cached_tokens: self.prefixes.cached_tokens(prefix).min(ask.prompt_tokens),
            base_s: self.base_s.load().into(),
            prompt_token_s: self.prompt_token_s.load().into(),
            tokens_per_s: self.tokens_per_s.load().into(),
            in_flight,
            limit: known.max(more.min(self.ceiling.load().into())),
            failure: failures.probability(now_ms).into(),
            honesty: self.honesty.load().into(),
        }
    }

    /// Has it brought into the processor's cache: what is touched first and looked at later is waited for
    /// together and not one after the other.
    pub fn touch(&self) {
        std::hint::black_box((self.in_flight.load(Relaxed), self.used_ms.load(Relaxed)));
    }

    pub fn gate(&self, now_ms: u64) -> Gate {
        match self.ejected_until_ms.load(Relaxed) {
            0 => Gate::Closed,
            QUARANTINED => Gate::Quarantined,
            until_ms if now_ms < until_ms => Gate::Open { until_ms },
            _ => Gate::Probe,
        }
    }

    /// Until when it asked to be left alone; 0 where it did not.
    pub fn paused_until_ms(&self) -> u64 {
        self.paused_until_ms.load(Relaxed)
    }

    /// Whether it is neither ejected nor paused.
    pub fn is_asked(&self, now_ms: u64) -> bool {
        self.gate(now_ms) == Gate::Closed && self.paused_until_ms() <= now_ms
    }

    /// When it was last asked.
    pub fn used_ms(&self) -> u64 {
        self.used_ms.load(Relaxed)
    }

    /// Takes the one probe that is due. False: another has it.
    pub fn claim_probe(&self, now_ms: u64) -> bool {
        let mut state = self.state();
        let is_claimed = !state.honesty.is_quarantined() && state.breaker.claim(now_ms);
        self.publish(&state, now_ms);
        is_claimed
    }

    /// It refused a request that another answered. That makes it dearer and never ejects it, since whoever
    /// sends requests could bring it about.
    pub fn contradicted(&self, now_ms: u64) {
        let mut state = self.state();
        state.failures.note(true, now_ms);
        self.publish(&state, now_ms);
    }

    /// One audit's verdict.
    pub fn audited(&self, is_honest: bool, now_ms: u64) {
        let mut state = self.state();
        state.honesty.audited(is_honest);
        self.honesty.store(state.honesty.probability());
        self.publish(&state, now_ms);
    }

    /// An operator lets it come again: what made it go counts no more.
    pub fn readmitted(&self, now_ms: u64) {
        let mut state = self.state();
        state.honesty.readmitted();
        self.publish(&state, now_ms);
    }

    pub(super) fn begun(&self, now_ms: u64) {
        self.in_flight.fetch_add(1, Relaxed);
        self.used_ms.store(now_ms, Relaxed);
    }

    pub(super) fn ended(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    pub(super) fn unclaim(&self, now_ms: u64) {
        let mut state = self.state();
        state.breaker.unclaim(now_ms);
        self.publish(&state, now_ms);
    }

    /// The first token came, or had not come when nobody waited any more (`is_censored`): a lower bound,
    /// which tells something only where it is beyond the prediction.
    pub(super) fn first_token(&self, dispatch: &Dispatch, now_ms: u64, is_censored: bool) {
        let seconds = dispatch.seconds(now_ms);
        if is_censored && seconds < dispatch.idle_s {
            return;
        }
        let mut state = self.state();
        if !is_censored {
            state.refusals.served(dispatch.at_ms);
        }
        if dispatch.utilisation <= UNCONGESTED || dispatch.in_flight <= 1 {
            // What the others of its batch cost it is in Φ already.
            let idle_s = seconds / (1.0 + BATCH * dispatch.utilisation);
            if idle_s * REFUTED < dispatch.idle_s {
                // A slow time is over: else it would take a hundred requests, and nobody sends one.
                state.ttft.forget_slowness();
            }
            state.ttft.observe(dispatch.fresh_tokens, idle_s.min(CLIP * dispatch.idle_s));
            let line = state.ttft.line();
            self.base_s.store(line.base_s);
            self.prompt_token_s.store(line.prompt_token_s);
        }
        let ratio = seconds.max(FELT_S) / dispatch.idle_s.max(FELT_S);
        let Dispatch { at_ms, in_flight, utilisation, .. } = *dispatch;
        let flying = self.in_flight.load(Relaxed);
        let sent = Sent { at_ms, in_flight, utilisation, flying };
        state.concurrency.succeeded(sent, ratio, now_ms);
        self.bears(&state);
    }

    /// A whole answer came of what was sent then. `tokens_per_s`: after the first.
    pub(super) fn succeeded(&self, sent_ms: u64, now_ms: u64, tokens_per_s: Option<f32>) {
        tokens_per_s.into_iter().for_each(|speed| self.speed(speed));
        let mut state = self.state();
        state.failures.note(false, now_ms);
        state.breaker.succeeded(sent_ms, now_ms);
        state.refusals.served(sent_ms);
        self.publish(&state, now_ms);
    }

    /// Tokens a second after the first, of one answer.
    pub(super) fn speed(&self, tokens_per_s: f32) {
        if tokens_per_s.is_finite() && tokens_per_s > 0.0 {
            self.tokens_per_s.update(|mean| mean + SPEED_SHARE * (tokens_per_s - mean));
        }
    }

    /// `sent_ms`: when the attempt went. `jitter`: from 0 to 1.
    pub(super) fn failed(&self, failure: Failure, sent_ms: u64, now_ms: u64, jitter: f64) {
        let mut state = self.state();
        state.concurrency.failed(sent_ms, self.in_flight.load(Relaxed), now_ms);
        self.bears(&state);
        match failure {
            Failure::Limited { pause_ms } => {
                let pause_ms = pause_ms.max(state.refusals.refused(sent_ms, now_ms));
                self.paused_until_ms.fetch_max(now_ms.saturating_add(pause_ms), Relaxed);
                state.breaker.unclaim(now_ms);
            }
            Failure::Hard | Failure::Slow => {
                state.failures.note(true, now_ms);
                state.breaker.failed(sent_ms, now_ms, jitter);
            }
        }
        self.publish(&state, now_ms);
    }

    fn bears(&self, state: &State) {
        self.limit.store(state.concurrency.limit());
        self.ceiling.store(state.concurrency.ceiling());
    }

    fn publish(&self, state: &State, now_ms: u64) {
        self.bad.store(state.failures.bad);
        self.good.store(state.failures.good);
        self.failures_ms.store(state.failures.at_ms, Relaxed);
        let until_ms = match state.breaker.gate(now_ms) {
            Gate::Closed => 0,
            Gate::Open { until_ms } => until_ms.max(1),
            Gate::Probe | Gate::Quarantined => 1,
        };
        let until_ms = if state.honesty.is_quarantined() { QUARANTINED } else { until_ms };
        self.ejected_until_ms.store(until_ms, Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::cast_precision_loss, reason = "small")]
fn advertised(requests: Option<u32>) -> f32 {
    requests.map_or(f32::MAX, |requests| requests as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_counts_for_half_a_second() {
        let learned = Learned::new(Prior::default());
        learned.begun(10_000);
        learned.told(7, 10_000);
        assert_eq!(learned.in_flight(10_499), 7);
        assert_eq!(learned.in_flight(10_500), 1);
        // It can only keep requests away.
        learned.told(0, 11_000);
        assert_eq!(learned.in_flight(11_000), 1);
    }

    #[test]
    fn audits_decide_its_honesty() {
        let learned = Learned::new(Prior::default());
        let ask = Ask { prompt_tokens: 1.0, answer_tokens: 1.0, values: Default::default() };
        let honesty = || learned.facts(&ask, &Prefix::default(), 0).honesty;
        assert!((honesty() - 0.95).abs() < 1e-6);
        learned.audited(false, 0);
        assert!((honesty() - 1.9 / 3.0).abs() < 1e-6);
        (0..97).for_each(|_| learned.audited(true, 0));
        assert!((honesty() - 0.989).abs() < 1e-6);
        assert_eq!(learned.gate(0), Gate::Closed);
    }

    #[test]
    fn a_quarantine_ends_by_nothing_that_happens() {
        let learned = Learned::new(Prior::default());
        (0..4).for_each(|_| learned.audited(false, 0));
        assert_eq!(learned.gate(u64::MAX), Gate::Quarantined);
        learned.succeeded(1, 1, None);
        learned.failed(Failure::Hard, 2, 2, 0.5);
        learned.failed(Failure::Limited { pause_ms: 1 }, 3, 3, 0.5);
        learned.unclaim(4);
        assert!(!learned.claim_probe(5));
        assert_eq!(learned.gate(1_000_000), Gate::Quarantined);
        assert!(!learned.is_asked(1_000_000));
        learned.readmitted(6);
        assert!(matches!(learned.gate(1_000_000), Gate::Closed | Gate::Probe));
    }

    #[test]
    fn it_begins_with_what_is_known_of_it() {
        let learned = Learned::new(Prior {
            round_trip_s: 0.2,
            advertised: Some(2),
            tokens_per_s: Some(80.0),
            ..Prior::default()
        });
        learned.price(1.0, 0.5, 2.0);
        let ask = Ask { prompt_tokens: 0.0, answer_tokens: 1.0, values: Default::default() };
        let facts = learned.facts(&ask, &Prefix::default(), 0);
        assert!((facts.base_s - 0.7).abs() < 1e-6);
        assert_eq!((facts.limit, facts.tokens_per_s), (2.0, 80.0));
        assert_eq!((facts.price_in, facts.price_cached, facts.price_out), (1.0, 0.5, 2.0));
        learned.advertise(Some(1));
        assert_eq!(learned.facts(&ask, &Prefix::default(), 0).limit, 1.0);
    }

    #[test]
    fn it_is_small() {
        let bytes = size_of::<Learned>();
        println!("Learned: {bytes} bytes");
        assert!(bytes <= 512, "{bytes}");
    }
}
