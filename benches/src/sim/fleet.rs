//! Many simulations at once, one on each core; what comes of them does not depend on how many cores.

use std::num::NonZero;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::outcome::{Mean, Outcome};
use super::{Scenario, Who, simulate};

/// Every policy through a scenario with each of the seeds: the means, in the policies' order.
pub fn measure(scenario: &Scenario, seeds: &RangeInclusive<u64>) -> Vec<Mean> {
    let jobs: Vec<(Who, u64)> =
        Who::ALL.into_iter().flat_map(|who| seeds.clone().map(move |seed| (who, seed))).collect();
    let outcomes: Mutex<Vec<Option<Outcome>>> = Mutex::new(vec![None; jobs.len()]);
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((place, (who, seed))) = {
            let place = next.fetch_add(1, Relaxed);
            jobs.get(place).map(|job| (place, *job))
        } {
            let outcome = simulate(scenario, who, seed);
            outcomes.lock().unwrap_or_else(PoisonError::into_inner)[place] = Some(outcome);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores.min(jobs.len()) {
            scope.spawn(work);
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    Who::ALL
        .into_iter()
        .filter_map(|who| {
            let of: Vec<Outcome> = outcomes
                .iter()
                .flatten()
                .filter(|outcome| outcome.policy == who.name())
                .cloned()
                .collect();
            Mean::of(&of)
        })
        .collect()
}
