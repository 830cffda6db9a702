//! How many requests a provider can bear at once, learned from how its first tokens keep to what was
//! predicted of an idle one: additive increase, multiplicative decrease on the normalised time, since
//! round trips of language models are not constant and Gradient or Vegas have nothing to hold on to.
//!
//! It goes by the mean of the last ten or so: two or three of a hundred first tokens are late whatever the
//! load, and a decrease by each of them holds one that bears a hundred at twenty.

/// Before anything is known.
const START: f32 = 4.0;
/// Of observed over predicted time, on average: below, there is room.
const GOOD: f32 = 1.35;
/// Above, it is too much.
const BAD: f32 = 1.55;
/// Of the limit, what is left of it where the mean is just above; the further above, the less, but no less
/// than the second.
const SHRINK: f32 = 0.9;
const SHRINK_MOST: f32 = 0.5;
/// Of each new one in the mean, and the most that one counts: one alone must not be a sign, or whoever bears
/// many, and so sees many late ones by chance, is held down.
const SHARE: f32 = 0.1;
const RATIO_MAX: f32 = 2.0;
/// Of the limit: below, a success says nothing about it.
const TESTED: f32 = 1.5;

#[derive(Debug, Clone, Copy)]
pub(super) struct Concurrency {
    limit: f32,
    /// What the provider says of itself.
    max: f32,
    /// Mean of observed over predicted time, of those that came under load.
    ratio: f32,
    /// When it last shrank: what was sent before says nothing about what it is now.
    shrunk_ms: u64,
    /// Doubles each round until the first sign of congestion, as TCP does (RFC 5681): one that bears a
    /// hundred is not to be found out one by one.
    is_starting: bool,
}

/// An attempt at its dispatch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) at_ms: u64,
    /// With it.
    pub(super) in_flight: u32,
    pub(super) utilisation: f32,
    /// Under way there now, when its first token comes.
    pub(super) flying: u32,
}

// === impl Concurrency ===

impl Concurrency {
    pub(super) fn new(max: f32) -> Self {
        let max = max.max(1.0);
        Self { limit: START.min(max), max, ratio: 1.0, shrunk_ms: 0, is_starting: true }
    }

    pub(super) fn limit(&self) -> f32 {
        self.limit
    }

    /// What may be sent there at most: as long as nothing was too much, whatever it says it bears.
    pub(super) fn ceiling(&self) -> f32 {
        if self.is_starting { self.max } else { self.limit }
    }

    pub(super) fn set_max(&mut self, max: f32) {
        self.max = max.max(1.0);
        self.limit = self.limit.min(self.max);
    }

    /// A first token came, `ratio` times as late as predicted.
    pub(super) fn succeeded(&mut self, sent: Sent, ratio: f32, now_ms: u64) {
        // What the idle do says nothing of the loaded.
        if sent.utilisation <= 0.5 || sent.at_ms < self.shrunk_ms {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let in_flight = sent.in_flight as f32;
        self.ratio += SHARE * (ratio.min(RATIO_MAX) - self.ratio);
        if self.ratio > BAD {
            self.shrink(
                (SHRINK * BAD / self.ratio).clamp(SHRINK_MOST, SHRINK),
                sent.flying,
                now_ms,
            );
        } else if self.ratio < GOOD && in_flight >= self.limit / TESTED {
            self.limit += if self.is_starting { 1.0 } else { 1.0 / self.limit };
            self.limit = self.limit.min(self.max);
        }
    }

    /// A limit was told, a failure or a time-out came. Many that were under way together are one sign.
    pub(super) fn failed(&mut self, sent_ms: u64, flying: u32, now_ms: u64) {
        if sent_ms >= self.shrunk_ms {
            self.shrink(0.7, flying, now_ms);
        }
    }

    fn shrink(&mut self, factor: f32, flying: u32, now_ms: u64) {
        self.limit = (self.limit * factor).max(1.0);
        if self.is_starting {
            // A crowd that came at once was let in beyond the limit: half of it is the first guess, as TCP
            // takes half of what was in flight.
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let half = flying as f32 / 2.0;
            self.limit = self.limit.max(half).min(self.max);
        }
        self.is_starting = false;
        self.ratio = (GOOD + BAD) / 2.0;
        // One who is asked again within the same millisecond was not asked before.
        self.shrunk_ms = now_ms;
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small numbers")]
mod tests {
    use super::*;

    /// At its limit, at the time.
    fn full(concurrency: &Concurrency, at_ms: u64) -> Sent {
        Sent { at_ms, in_flight: concurrency.limit().ceil() as u32, utilisation: 1.0, flying: 0 }
    }

    fn answer(concurrency: &mut Concurrency, ratio: f32, count: u64) {
        for at_ms in 0..count {
            let sent = full(concurrency, 1_000 + at_ms);
            concurrency.succeeded(sent, ratio, 1_000 + at_ms);
        }
    }

    #[test]
    fn it_grows_by_one_until_the_first_sign_and_then_slowly() {
        let mut concurrency = Concurrency::new(f32::MAX);
        answer(&mut concurrency, 1.0, 20);
        assert_eq!(concurrency.limit(), START + 20.0);
        concurrency.failed(1_019, 0, 1_020);
        let limit = concurrency.limit();
        assert!((limit - 24.0 * 0.7).abs() < 1e-3);
        for at_ms in 2_000..2_100 {
            let sent = full(&concurrency, at_ms);
            concurrency.succeeded(sent, 1.0, at_ms);
        }
        assert!(concurrency.limit() > limit + 2.0 && concurrency.limit() < limit + 10.0);
    }

    #[test]
    fn what_is_late_again_and_again_shrinks_it() {
        let mut concurrency = Concurrency::new(f32::MAX);
        answer(&mut concurrency, 1.0, 20);
        let before = concurrency.limit();
        answer(&mut concurrency, 3.0, 200);
        assert!(concurrency.limit() < before / 2.0, "{}", concurrency.limit());
        answer(&mut concurrency, 3.0, 2_000);
        assert_eq!(concurrency.limit(), 1.0);
    }

    #[test]
    fn one_late_of_forty_does_not_hold_it_down() {
        let mut concurrency = Concurrency::new(f32::MAX);
        for round in 0..100 {
            answer(&mut concurrency, 1.0, 39);
            let sent = full(&concurrency, 10_000 + round);
            concurrency.succeeded(sent, 30.0, 10_000 + round);
        }
        assert!(concurrency.limit() > 60.0, "{}", concurrency.limit());
    }

    #[test]
    fn a_crowd_at_a_cold_start_is_halved_and_not_forgotten() {
        let mut concurrency = Concurrency::new(f32::MAX);
        for number in 0..200 {
            let sent = Sent { at_ms: 10, in_flight: number, utilisation: 0.8, flying: 200 };
            concurrency.succeeded(sent, 4.0, 20);
        }
        assert_eq!(concurrency.limit(), 100.0);
        answer(&mut concurrency, 4.0, 200);
        assert!(concurrency.limit() < 20.0, "too much all the same: {}", concurrency.limit());
    }

    #[test]
    fn failures_of_one_batch_are_one_sign() {
        let mut concurrency = Concurrency::new(f32::MAX);
        answer(&mut concurrency, 1.0, 36);
        for _ in 0..40 {
            concurrency.failed(1_500, 0, 2_000);
        }
        assert!((concurrency.limit() - 28.0).abs() < 1e-3, "{}", concurrency.limit());
        concurrency.failed(2_001, 0, 2_100);
        assert!((concurrency.limit() - 19.6).abs() < 1e-3, "{}", concurrency.limit());
    }

    #[test]
    fn it_stays_between_one_and_what_is_advertised() {
        let mut concurrency = Concurrency::new(6.0);
        answer(&mut concurrency, 1.0, 50);
        assert_eq!(concurrency.limit(), 6.0);
        concurrency.set_max(3.0);
        assert_eq!(concurrency.limit(), 3.0);
        for at_ms in 2_000..2_050 {
            concurrency.failed(at_ms, 0, at_ms);
        }
        assert_eq!(concurrency.limit(), 1.0);
        assert_eq!(Concurrency::new(0.0).limit(), 1.0);
    }

    #[test]
    fn the_idle_say_nothing_of_the_loaded() {
        let mut concurrency = Concurrency::new(f32::MAX);
        for at_ms in 0..100 {
            let sent = Sent { at_ms, in_flight: 1, utilisation: 0.25, flying: 1 };
            concurrency.succeeded(sent, 9.0, at_ms);
            concurrency.succeeded(sent, 0.5, at_ms);
        }
        assert_eq!(concurrency.limit(), START);
    }
}
