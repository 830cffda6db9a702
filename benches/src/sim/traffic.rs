//! Requests as they come: when, how long a prompt, how long an answer.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Exp1, Gamma, LogNormal};

use super::events::{Us, us};
use super::scenario::{Arrivals, Lengths, Scenario, Surge};

const PROMPT_MAX: f64 = 128_000.0;
const ANSWER_MAX: f64 = 4_096.0;

/// A request as who asks knows it; nobody who chooses knows how long its answer is going to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    pub(super) prompt_tokens: f64,
    pub(super) answer_tokens: f64,
    /// Of its prompt's beginning, which no other has: caches help nobody here.
    pub(super) beginning: u64,
}

#[derive(Debug)]
pub(super) struct Traffic {
    rng: StdRng,
    rate: f64,
    arrivals: Arrivals,
    lengths: Lengths,
    surge: Option<Surge>,
    now: Us,
}

// === impl Traffic ===

impl Traffic {
    pub(super) fn new(scenario: &Scenario, rate: f64, seed: u64) -> Self {
        // Not the same numbers as the providers'.
        let rng = StdRng::seed_from_u64(seed ^ 0x7261_7465);
        let Scenario { arrivals, lengths, surge, .. } = *scenario;
        Self { rng, rate, arrivals, lengths, surge, now: 0 }
    }

    pub(super) fn next(&mut self) -> (Us, Job) {
        let gap = match self.arrivals {
            Arrivals::Poisson => Exp1.sample(&mut self.rng),
            Arrivals::Gamma(cv) => {
                Gamma::new(1.0 / (cv * cv), cv * cv).map_or(1.0, |gap| gap.sample(&mut self.rng))
            }
        };
        let is_surge = |surge: &Surge| (us(surge.from_s)..us(surge.until_s)).contains(&self.now);
        let factor = self.surge.filter(is_surge).map_or(1.0, |surge| surge.factor);
        self.now += us(gap / (self.rate * factor));
        let (prompt, answer) = distributions(self.lengths);
        let mut draw = |(median, deviation): (f64, f64), max: f64| {
            LogNormal::new(median.ln(), deviation)
                .map_or(median, |length| length.sample(&mut self.rng))
                .round()
                .clamp(1.0, max)
        };
        let (prompt_tokens, answer_tokens) = (draw(prompt, PROMPT_MAX), draw(answer, ANSWER_MAX));
        (self.now, Job { prompt_tokens, answer_tokens, beginning: self.rng.random() })
    }
}

/// Median, and standard deviation of the logarithm by the 99th percentile or the mean of the trace.
fn distributions(lengths: Lengths) -> ((f64, f64), (f64, f64)) {
    match lengths {
        Lengths::Chat => ((1_020.0, 0.602), (129.0, 0.661)),
        Lengths::Code => ((1_469.0, 0.697), (13.0, 1.239)),
        Lengths::Long => ((6_909.0, 1.081), (350.0, 1.0)),
    }
}

/// Mean lengths of prompts and answers.
pub(super) fn means(lengths: Lengths) -> (f64, f64) {
    let (prompt, answer) = distributions(lengths);
    let mean = |(median, deviation): (f64, f64)| median * (deviation * deviation / 2.0).exp();
    (mean(prompt), mean(answer))
}
