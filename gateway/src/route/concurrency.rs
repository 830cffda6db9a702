//! How many requests a provider can bear at once, learned from how its first tokens keep to what was
//! predicted of an idle one: additive increase, multiplicative decrease on the normalised time, since
//! round trips of language models are not constant and Gradient or Vegas have nothing to hold on to.

/// Before anything is known.
const START: f32 = 4.0;
/// Of observed over predicted time: below, there is room.
const GOOD: f32 = 1.6;
/// Above, it is too much.
const BAD: f32 = 2.5;
/// Of the limit: below, a success says nothing about it.
const TESTED: f32 = 1.5;

#[derive(Debug, Clone, Copy)]
pub(super) struct Concurrency {
    limit: f32,
    /// What the provider says of itself.
    max: f32,
    /// Doubles each round until the first sign of congestion, as TCP does (RFC 5681): one that bears a
    /// hundred is not to be found out one by one.
    is_starting: bool,
}

// === impl Concurrency ===

impl Concurrency {
    pub(super) fn new(max: f32) -> Self {
        let max = max.max(1.0);
        Self { limit: START.min(max), max, is_starting: true }
    }

    pub(super) fn limit(&self) -> f32 {
        self.limit
    }

    pub(super) fn set_max(&mut self, max: f32) {
        self.max = max.max(1.0);
        self.limit = self.limit.min(self.max);
    }

    /// A first token came, `ratio` times as late as predicted; `in_flight` and `utilisation` are those at
    /// its request's dispatch.
    pub(super) fn succeeded(&mut self, in_flight: u32, utilisation: f32, ratio: f32) {
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let in_flight = in_flight as f32;
        if ratio > BAD && utilisation > 0.5 {
            self.shrink(0.9);
        } else if ratio < GOOD && in_flight >= self.limit / TESTED {
            self.limit += if self.is_starting { 1.0 } else { 1.0 / self.limit };
            self.limit = self.limit.min(self.max);
        }
    }

    /// A limit was told, a failure or a time-out came.
    pub(super) fn failed(&mut self) {
        self.shrink(0.7);
    }

    fn shrink(&mut self, factor: f32) {
        self.is_starting = false;
        self.limit = (self.limit * factor).max(1.0);
    }
}
