//! Many clients: requests that arrive at random, and what became of them.

use serde_json::Value;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::harness::{Answer, Gateway, random};

/// What became of one request.
pub(crate) struct Outcome {
    /// When it was sent, since the load began.
    pub(crate) at: Duration,
    pub(crate) answer: Answer,
}

/// Sends `body` so many times, on average each `every`; arrivals are Poisson's.
pub(crate) async fn poisson(
    gateway: &Gateway,
    body: &Value,
    every: Duration,
    requests: usize,
) -> Vec<Outcome> {
    let mut tasks = JoinSet::new();
    let start = Instant::now();
    let mut at = Duration::ZERO;
    // Drawn before: the gateway draws from the same numbers.
    let arrivals: Vec<Duration> = (0..requests)
        .map(|_| {
            at += every.mul_f64(-uniform().ln());
            at
        })
        .collect();
    for at in arrivals {
        tokio::time::sleep_until(start + at).await;
        let (gateway, body) = (gateway.clone(), body.clone());
        tasks.spawn(async move { Outcome { at, answer: gateway.ask(&body).await } });
    }
    let mut outcomes = tasks.join_all().await;
    outcomes.sort_by_key(|outcome| outcome.at);
    outcomes
}

/// In (0, 1].
#[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
fn uniform() -> f64 {
    ((random() >> 11) + 1) as f64 / (1u64 << 53) as f64
}

/// Of those that had content.
pub(crate) fn ttft(outcomes: &[Outcome], percent: usize) -> Duration {
    let mut all: Vec<Duration> =
        outcomes.iter().filter_map(|outcome| outcome.answer.first).collect();
    all.sort_unstable();
    all[(all.len() * percent / 100).min(all.len() - 1)]
}
