//! What came of a simulation, and the mean of several.

use serde::Serialize;

use super::events::{Us, seconds};

/// A request whose first token has not come by then has failed; it counts as this late.
pub(super) const DEADLINE_S: f64 = 30.0;

/// Of the requests after the warm-up. Shares are from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    pub policy: &'static str,
    pub utilization: f64,
    pub providers: usize,
    /// Of all requests but those that liars answered: these are counted in `dishonest`, and a lie that
    /// comes soon must not make a policy look fast.
    pub p50_ttft_ms: f64,
    pub p99_ttft_ms: f64,
    /// Of the requests, those answered whole.
    pub success: f64,
    /// Of the answers, those of liars.
    pub dishonest: f64,
    /// Dollars for a thousand requests.
    pub cost_per_1k: f64,
    /// For each request, attempts beside the first: hedges, retries, probes, continuations.
    pub extra_attempts: f64,
    /// Of the dollars, those for what reached nobody.
    pub wasted_spend: f64,
}

/// Over seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Mean {
    pub mean: Outcome,
    /// The least and the most of the 99th percentiles.
    pub p99_ttft_ms: (f64, f64),
}

/// What is counted on the way.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) first_tokens: Vec<Us>,
    pub(super) requests: u64,
    pub(super) answered: u64,
    pub(super) dishonest: u64,
    pub(super) extra: u64,
    pub(super) dollars: f64,
    pub(super) wasted: f64,
    /// Each request's, where there is a surge.
    pub(super) ends: Vec<End>,
}

/// How a request came out.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) at: Us,
    pub(super) first: Option<Us>,
    pub(super) over: Us,
    pub(super) is_answered: bool,
    /// 429: there was no room in time.
    pub(super) is_shed: bool,
}

// === impl Tally ===

impl Tally {
    pub(super) fn outcome(
        mut self,
        policy: &'static str,
        utilization: f64,
        providers: usize,
    ) -> Outcome {
        self.first_tokens.sort_unstable();
        let quantile = |share: f64| {
            let place = (share * self.first_tokens.len() as f64) as usize;
            self.first_tokens.get(place).map_or(0.0, |us| seconds(*us) * 1e3)
        };
        let of = |count: u64, all: u64| count as f64 / all.max(1) as f64;
        Outcome {
            policy,
            utilization,
            providers,
            p50_ttft_ms: round(quantile(0.5), 1),
            p99_ttft_ms: round(quantile(0.99), 1),
            success: round(of(self.answered, self.requests), 6),
            dishonest: round(of(self.dishonest, self.answered), 6),
            cost_per_1k: round(self.dollars / self.requests.max(1) as f64 * 1e3, 6),
            extra_attempts: round(of(self.extra, self.requests), 6),
            wasted_spend: round(self.wasted / self.dollars.max(f64::MIN_POSITIVE), 6),
        }
    }
}

// === impl Mean ===

impl Mean {
    /// `None`: of nothing.
    pub fn of(outcomes: &[Outcome]) -> Option<Self> {
        let first = outcomes.first()?;
        let mean = |value: fn(&Outcome) -> f64, digits| {
            round(outcomes.iter().map(value).sum::<f64>() / outcomes.len() as f64, digits)
        };
        let p99 = || outcomes.iter().map(|outcome| outcome.p99_ttft_ms);
        Some(Self {
            p99_ttft_ms: (p99().fold(f64::MAX, f64::min), p99().fold(0.0, f64::max)),
            mean: Outcome {
                policy: first.policy,
                utilization: first.utilization,
                providers: first.providers,
                p50_ttft_ms: mean(|o| o.p50_ttft_ms, 1),
                p99_ttft_ms: mean(|o| o.p99_ttft_ms, 1),
                success: mean(|o| o.success, 6),
                dishonest: mean(|o| o.dishonest, 6),
                cost_per_1k: mean(|o| o.cost_per_1k, 6),
                extra_attempts: mean(|o| o.extra_attempts, 6),
                wasted_spend: mean(|o| o.wasted_spend, 6),
            },
        })
    }
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}
