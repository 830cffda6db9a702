//! When a provider is left alone, and when it is tried again.
//!
//! Closed, until 5 hard failures come in a row, or P(success < 0.7) > 0.95 by the last minute (at least 5
//! samples). Then open for 5 s·2^k (equal jitter, at most 300 s); after that exactly one probe, which
//! decides. Limits (429) never open it. What is configured of it is in [`Rules`].

use super::window::Window;

const SAMPLES_MIN: u32 = 5;
/// The success that a provider must be able to promise.
const SUCCESS: f64 = 0.7;
const CONFIDENCE: f64 = 0.95;
/// The pause doubles so often at most.
const DOUBLINGS_MAX: u32 = 20;
/// A probe that nobody heard of again for so long is lost; another may go.
const PROBE_LOST_MS: u64 = 60_000;
/// Good answers after which the next opening begins at the shortest pause again.
const FORGIVEN_AFTER: u32 = 10;

/// When it opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Hard failures in a row that open it.
    pub failures: u32,
    /// The first pause, and the longest.
    pub backoff_ms: u64,
    pub backoff_max_ms: u64,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Breaker {
    rules: Rules,
    window: Window,
    /// Hard failures in a row.
    in_a_row: u32,
    good_in_a_row: u32,
    /// k: openings since it was last forgiven.
    openings: u32,
    state: State,
    /// When it opened or closed last: what was sent before says nothing of what came after.
    changed_ms: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    /// Nobody goes there until then; from then on, one.
    Open { until_ms: u64 },
    /// That one is on its way.
    Probing { since_ms: u64 },
}

/// Whether a request may go there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    Closed,
    /// Ejected until then.
    Open {
        until_ms: u64,
    },
    /// One may try, beside a request that goes elsewhere.
    Probe,
    /// Audits have shown that it cheats: no outage brings it back.
    Quarantined,
}

// === impl Rules ===

impl Default for Rules {
    fn default() -> Self {
        Self { failures: 5, backoff_ms: 5_000, backoff_max_ms: 300_000 }
    }
}

// === impl Breaker ===

impl Breaker {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    pub(super) fn gate(&self, now_ms: u64) -> Gate {
        match self.state {
            State::Closed => Gate::Closed,
            State::Open { until_ms } if now_ms < until_ms => Gate::Open { until_ms },
            State::Open { .. } => Gate::Probe,
            State::Probing { since_ms } => {
                let until_ms = since_ms.saturating_add(PROBE_LOST_MS);
                if now_ms < until_ms { Gate::Open { until_ms } } else { Gate::Probe }
            }
        }
    }

    /// Takes the one probe. False: somebody else has it, or none is due.
    pub(super) fn claim(&mut self, now_ms: u64) -> bool {
        let is_due = self.gate(now_ms) == Gate::Probe;
        if is_due {
            self.state = State::Probing { since_ms: now_ms };
        }
        is_due
    }

    /// The probe came to nothing that says anything: another may go after the shortest pause. Not at once,
    /// or one who always loses its race would get every request.
    pub(super) fn unclaim(&mut self, now_ms: u64) {
        if matches!(self.state, State::Probing { .. }) {
            self.state = State::Open { until_ms: now_ms.saturating_add(self.rules.backoff_ms) };
        }
    }

    /// `sent_ms`: when what succeeded went there.
    pub(super) fn succeeded(&mut self, sent_ms: u64, now_ms: u64) {
        let is_open = self.state != State::Closed;
        if is_open && sent_ms < self.changed_ms {
            // Who ends what it had begun may refuse all that is new.
            return;
        }
        self.in_a_row = 0;
        if is_open {
            (self.state, self.changed_ms) = (State::Closed, now_ms);
            self.good_in_a_row = 0;
            // What opened it must not open it again at the next failure.
            self.window.clear();
        }
        self.window.note(false, now_ms);
        self.good_in_a_row = self.good_in_a_row.saturating_add(1);
        if self.good_in_a_row >= FORGIVEN_AFTER {
            self.openings = 0;
        }
    }

    /// A hard failure. `jitter`: from 0 to 1.
    pub(super) fn failed(&mut self, sent_ms: u64, now_ms: u64, jitter: f64) {
        if sent_ms < self.changed_ms {
            return;
        }
        self.window.note(true, now_ms);
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.good_in_a_row = 0;
        let (good, bad) = self.window.counts(now_ms);
        let opens = match self.state {
            State::Probing { .. } => true,
            State::Closed => self.in_a_row >= self.rules.failures || is_poor(good, bad),
            State::Open { until_ms } => now_ms >= until_ms,
        };
        if opens {
            let Rules { backoff_ms, backoff_max_ms, .. } = self.rules;
            let doubled = backoff_ms.saturating_mul(1 << self.openings.min(DOUBLINGS_MAX));
            let pause = doubled.min(backoff_max_ms);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "some minutes"
            )]
            let jittered = pause / 2 + (pause as f64 / 2.0 * jitter.clamp(0.0, 1.0)) as u64;
            self.state = State::Open { until_ms: now_ms.saturating_add(jittered) };
            self.changed_ms = now_ms;
            self.openings = self.openings.saturating_add(1);
        }
    }
}

/// P(success < 0.7) > 0.95, of a uniform prior.
fn is_poor(good: u32, bad: u32) -> bool {
    good + bad >= SAMPLES_MIN && below(SUCCESS, good, bad) > CONFIDENCE
}

/// P(p < x) of Beta(1 + good, 1 + bad): for whole numbers the regularised incomplete beta function is the
/// tail of a binomial distribution (Abramowitz and Stegun 26.5.24). Large counts are scaled down, which
/// only makes it less sure.
fn below(x: f64, good: u32, bad: u32) -> f64 {
    let scale = f64::from(good + bad) / 256.0;
    let scaled = |count: u32| if scale > 1.0 { f64::from(count) / scale } else { f64::from(count) };
    let (a, b) = (scaled(good).round() + 1.0, scaled(bad).round() + 1.0);
    let n = a + b - 1.0;
    // The term of j = n, then downwards to j = a.
    let (mut term, mut sum, mut j) = (x.powf(n), 0.0, n);
    while j >= a {
        sum += term;
        term *= j / (n - j + 1.0) * (1.0 - x) / x;
        j -= 1.0;
    }
    sum.min(1.0)
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small numbers")]
mod tests {
    use super::*;

    fn failed(times: u32, now_ms: u64) -> Breaker {
        let mut breaker = Breaker::default();
        (0..times).for_each(|_| breaker.failed(now_ms, now_ms, 1.0));
        breaker
    }

    #[test]
    fn five_in_a_row_open_it_and_four_do_not() {
        assert_eq!(failed(4, 0).gate(0), Gate::Closed);
        assert_eq!(failed(5, 0).gate(0), Gate::Open { until_ms: 5_000 });
        let mut breaker = failed(4, 0);
        breaker.succeeded(0, 0);
        (0..9).for_each(|_| breaker.succeeded(0, 0));
        breaker.failed(0, 0, 1.0);
        assert_eq!(breaker.gate(0), Gate::Closed);
    }

    #[test]
    fn other_rules_open_it_sooner_and_for_other_times() {
        let rules = Rules { failures: 1, backoff_ms: 100, backoff_max_ms: 1_000 };
        let (mut breaker, mut now) = (Breaker::new(rules), 0);
        breaker.failed(now, now, 1.0);
        for pause in [100, 200, 400, 800, 1_000, 1_000] {
            assert_eq!(breaker.gate(now), Gate::Open { until_ms: now + pause });
            now += pause;
            assert!(breaker.claim(now));
            breaker.failed(now, now, 1.0);
        }
        breaker.unclaim(now);
        breaker.claim(now + 1_000);
        breaker.unclaim(now + 1_000);
        assert_eq!(breaker.gate(now + 1_000), Gate::Open { until_ms: now + 1_100 });
    }

    #[test]
    fn a_poor_minute_opens_it_without_a_row() {
        let mut breaker = Breaker::default();
        // One good of each three: 4 bad and 2 good are P(success < 0.7) = 0.971.
        for number in 0..6 {
            assert_eq!(breaker.gate(number), Gate::Closed, "{number}");
            match number % 3 {
                0 => breaker.succeeded(number, number),
                _ => breaker.failed(number, number, 1.0),
            }
        }
        assert!(matches!(breaker.gate(6), Gate::Open { .. }));
    }

    #[test]
    fn what_is_over_a_minute_old_does_not_count() {
        let mut breaker = Breaker::default();
        for number in 0..4 {
            breaker.failed(number, number, 1.0);
        }
        breaker.succeeded(4, 4);
        breaker.failed(61_000, 61_000, 1.0);
        breaker.failed(61_001, 61_001, 1.0);
        assert_eq!(breaker.gate(61_001), Gate::Closed);
    }

    #[test]
    fn the_probability_is_that_of_the_beta_distribution() {
        for good in 0..30u32 {
            for bad in 0..30u32 {
                let exact = integrated(0.7, good, bad);
                assert!((below(0.7, good, bad) - exact).abs() < 1e-6, "{good} {bad} {exact}");
            }
        }
        // Thousands: scaled down, still a probability, and sure where it is plain.
        assert!(below(0.7, 10_000, 10_000) > 0.999);
        assert!(below(0.7, 20_000, 100) < 1e-6);
    }

    /// By Simpson's rule on the density.
    fn integrated(x: f64, good: u32, bad: u32) -> f64 {
        let density = |p: f64| p.powi(good as i32) * (1.0 - p).powi(bad as i32);
        let area = |to: f64| {
            let steps = 2_000;
            let step = to / f64::from(steps);
            let sum: f64 = (0..=steps)
                .map(|n| {
                    let weight =
                        if n == 0 || n == steps { 1.0 } else { f64::from(2 + 2 * (n % 2)) };
                    weight * density(f64::from(n) * step)
                })
                .sum();
            sum * step / 3.0
        };
        area(x) / area(1.0)
    }

    #[test]
    fn pauses_double_with_equal_jitter_and_end_at_five_minutes() {
        for (jitter, share) in [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)] {
            let (mut breaker, mut now) = (failed(4, 0), 0);
            breaker.failed(now, now, jitter);
            for opening in 0..10 {
                let Gate::Open { until_ms } = breaker.gate(now) else { unreachable!("open") };
                let pause = (5_000u64 << opening).min(300_000) as f64;
                assert_eq!(until_ms - now, (pause * share) as u64, "opening {opening}");
                now = until_ms;
                assert!(breaker.claim(now));
                breaker.failed(now, now, jitter);
            }
        }
    }

    #[test]
    fn one_probe_goes_and_no_other_until_it_is_lost() {
        let mut breaker = failed(5, 0);
        assert!(!breaker.claim(4_999));
        assert_eq!(breaker.gate(5_000), Gate::Probe);
        assert!(breaker.claim(5_000));
        for now in [5_000, 5_001, 64_999] {
            assert!(!breaker.claim(now), "{now}");
            assert!(matches!(breaker.gate(now), Gate::Open { .. }));
        }
        assert!(breaker.claim(65_000));
    }

    #[test]
    fn a_good_probe_closes_it_for_good() {
        let mut breaker = failed(5, 0);
        breaker.claim(5_000);
        breaker.succeeded(5_100, 5_100);
        assert_eq!(breaker.gate(5_100), Gate::Closed);
        // Its bad minute is forgotten with it.
        breaker.failed(5_200, 5_200, 1.0);
        assert_eq!(breaker.gate(5_200), Gate::Closed);
    }

    #[test]
    fn ten_good_answers_forgive_what_was() {
        for (good, pause_ms) in [(9, 10_000), (10, 5_000)] {
            let mut breaker = failed(5, 0);
            breaker.claim(5_000);
            (0..good).for_each(|_| breaker.succeeded(100_000, 100_000));
            (0..5).for_each(|_| breaker.failed(200_000, 200_000, 1.0));
            assert_eq!(breaker.gate(200_000), Gate::Open { until_ms: 200_000 + pause_ms });
        }
    }

    #[test]
    fn what_was_sent_before_it_opened_says_nothing_new() {
        let mut breaker = failed(5, 1_000);
        (0..50).for_each(|_| breaker.failed(999, 2_000, 1.0));
        // One that ends its old answers and refuses new ones.
        breaker.succeeded(999, 2_000);
        assert_eq!(breaker.gate(2_000), Gate::Open { until_ms: 6_000 });
        // Nor does it decide for the probe.
        assert!(breaker.claim(6_000));
        breaker.failed(999, 7_000, 1.0);
        breaker.succeeded(999, 7_000);
        assert!(matches!(breaker.gate(7_000), Gate::Open { until_ms: 66_000 }));
        breaker.succeeded(6_000, 7_000);
        assert_eq!(breaker.gate(7_000), Gate::Closed);
    }

    #[test]
    fn what_was_sent_before_it_closed_does_not_open_it() {
        let mut breaker = failed(5, 1_000);
        breaker.claim(6_000);
        breaker.succeeded(6_000, 6_100);
        // They waited for their answers all the while.
        (0..50).for_each(|_| breaker.failed(999, 31_000, 1.0));
        assert_eq!(breaker.gate(31_000), Gate::Closed);
        (0..5).for_each(|_| breaker.failed(6_100, 31_000, 1.0));
        assert!(matches!(breaker.gate(31_000), Gate::Open { .. }));
    }
}
