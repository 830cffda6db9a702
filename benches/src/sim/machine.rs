//! One provider: a batch that slows down beyond its knee, a bounded queue before it, and one fault at
//! most. Below the knee each request costs the others a little; beyond it, throughput is what it is.

use std::collections::VecDeque;

use rand::Rng;
use rand_distr::{Distribution, Exp1, LogNormal};

/// Standard deviation of the logarithm of times to the first token.
const BODY: f64 = 0.28;
/// Of the first tokens, those that are late beyond all measure, and by how much.
const SPIKES: f64 = 0.025;
const SPIKE: f64 = 3.0;
const SPIKE_SHAPE: f64 = 1.3;
/// Of the batch, where it begins to slow down.
pub(super) const KNEE: f64 = 0.75;
/// How much slower it is at the knee than alone.
pub(super) const AT_KNEE: f64 = 1.4;
/// How much slower in a slow episode.
const SLOW: f64 = 4.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    Liar,
    Flapping,
    Slow,
    Failing,
    Stalling,
}

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) fault: Fault,
    /// Dollars for a million tokens.
    pub(super) price_in: f64,
    pub(super) price_out: f64,
    pub(super) round_trip_s: f64,
    /// Alone and without a queue.
    pub(super) base_s: f64,
    pub(super) prompt_token_s: f64,
    pub(super) tokens_per_s: f64,
    /// Requests that it works on at once.
    pub(super) batch: usize,
    /// Attempts.
    pub(super) running: Vec<u32>,
    pub(super) waiting: VecDeque<u32>,
    /// It is gone, or in a slow episode.
    pub(super) is_bad: bool,
}

/// What it does with a request at first sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    Runs,
    Waits,
    /// 429: its queue is full.
    Full,
    /// Nobody is there.
    Gone,
    /// 500.
    Fails,
}

// === impl Machine ===

impl Machine {
    pub(super) fn admit(&self, rng: &mut impl Rng) -> Admission {
        if self.fault == Fault::Flapping && self.is_bad {
            Admission::Gone
        } else if self.fault == Fault::Failing && rng.random_bool(0.8) {
            Admission::Fails
        } else if self.running.len() < self.batch {
            Admission::Runs
        } else if self.waiting.len() < 2 * self.batch {
            Admission::Waits
        } else {
            Admission::Full
        }
    }

    /// How many times longer than alone everything takes now.
    pub(super) fn slowdown(&self) -> f64 {
        let load = self.running.len() as f64 / (KNEE * self.batch as f64);
        let batch = if load <= 1.0 { 1.0 + (AT_KNEE - 1.0) * load } else { AT_KNEE * load };
        let is_slow = self.fault == Fault::Slow && self.is_bad;
        if is_slow { batch * SLOW } else { batch }
    }

    /// Seconds until the first token of one that begins to run now.
    pub(super) fn first_token_s(&self, prompt_tokens: f64, rng: &mut impl Rng) -> f64 {
        let body = LogNormal::new(0.0, BODY).map_or(1.0, |body| body.sample(rng));
        let spike = match rng.random_bool(SPIKES) {
            true => SPIKE * (1.0 - rng.random::<f64>()).powf(-1.0 / SPIKE_SHAPE),
            false => 1.0,
        };
        let alone = self.base_s + self.prompt_token_s * prompt_tokens;
        self.round_trip_s + alone * body * spike * self.slowdown()
    }

    /// Seconds from the first token to the last.
    pub(super) fn decode_s(&self, tokens: f64) -> f64 {
        tokens / self.tokens_per_s * self.slowdown()
    }

    /// Whether one that begins now stops on the way.
    pub(super) fn stalls(&self, rng: &mut impl Rng) -> bool {
        self.fault == Fault::Stalling && rng.random_bool(0.2)
    }

    /// Seconds until it gets better or worse; `None` where it stays as it is.
    pub(super) fn turn_s(&self, rng: &mut impl Rng) -> Option<f64> {
        let mean = match (self.fault, self.is_bad) {
            (Fault::Flapping | Fault::Slow, false) => 60.0,
            (Fault::Flapping, true) => 10.0,
            (Fault::Slow, true) => 20.0,
            _ => return None,
        };
        let unit: f64 = Exp1.sample(rng);
        Some(mean * unit)
    }

    pub(super) fn dollars(&self, prompt_tokens: f64, answer_tokens: f64) -> f64 {
        (self.price_in * prompt_tokens + self.price_out * answer_tokens) / 1e6
    }

    /// Requests a second, of these lengths on average, that it bears.
    pub(super) fn capacity(&self, prompt_tokens: f64, answer_tokens: f64) -> f64 {
        // The mean of the body, and of the spikes.
        let late =
            (BODY * BODY / 2.0).exp() + SPIKES * (SPIKE * SPIKE_SHAPE / (SPIKE_SHAPE - 1.0) - 1.0);
        let first = self.round_trip_s + late * (self.base_s + self.prompt_token_s * prompt_tokens);
        let alone = first + answer_tokens / self.tokens_per_s;
        KNEE * self.batch as f64 / (AT_KNEE * alone)
    }
}
