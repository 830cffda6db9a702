//! The providers, drawn from a seed: consumers' cards beside racks, spread in speed, price and distance.

use std::collections::VecDeque;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, LogNormal};

use super::machine::{Fault, Machine};
use super::scenario::Scenario;
use super::traffic;

/// Of what an honest one of the same machine would ask for, and would do.
const LIAR_PRICE: f64 = 0.6;
const LIAR_SPEED: f64 = 1.8;

#[derive(Debug)]
pub(super) struct World {
    pub(super) machines: Vec<Machine>,
    /// Requests a second.
    pub(super) rate: f64,
}

// === impl World ===

impl World {
    pub(super) fn new(scenario: &Scenario, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut faults = faults(scenario);
        faults.shuffle(&mut rng);
        let machines: Vec<Machine> =
            faults.into_iter().map(|fault| machine(fault, &mut rng)).collect();
        let (prompt, answer) = traffic::means(scenario.lengths);
        // A liar's speed is not that of the model it sells.
        let honest = |machine: &Machine| match machine.fault {
            Fault::Liar => machine.capacity(prompt, answer) / LIAR_SPEED,
            _ => machine.capacity(prompt, answer),
        };
        let capacity: f64 = machines.iter().map(honest).sum();
        Self { machines, rate: capacity * scenario.utilization }
    }
}

fn faults(scenario: &Scenario) -> Vec<Fault> {
    let shares = &scenario.faults;
    let of = |fault, share: f64| {
        let count = (share * scenario.providers as f64).round() as usize;
        std::iter::repeat_n(fault, count)
    };
    of(Fault::Liar, shares.liars)
        .chain(of(Fault::Flapping, shares.flapping))
        .chain(of(Fault::Slow, shares.slow))
        .chain(of(Fault::Failing, shares.failing))
        .chain(of(Fault::Stalling, shares.stalling))
        .chain(std::iter::repeat(Fault::None))
        .take(scenario.providers)
        .collect()
}

fn machine(fault: Fault, rng: &mut StdRng) -> Machine {
    let speed = spread(0.5, rng);
    // Who is faster asks for more, but by far not in proportion.
    let price = spread(0.3, rng) * speed.powf(0.3);
    let is_liar = fault == Fault::Liar;
    let (cheap, fast) = if is_liar { (LIAR_PRICE, LIAR_SPEED) } else { (1.0, 1.0) };
    let batch = (10.0 * spread(0.8, rng)).round().clamp(2.0, 128.0) as usize;
    Machine {
        fault,
        price_in: 0.15 * price * cheap,
        price_out: 0.6 * price * cheap,
        round_trip_s: rng.random_range(0.01..0.15),
        base_s: 0.25 * spread(0.5, rng) / fast,
        prompt_token_s: spread(0.5, rng) / 5_000.0 / fast,
        tokens_per_s: 45.0 * speed * fast,
        batch,
        running: Vec::with_capacity(batch),
        waiting: VecDeque::new(),
        is_bad: false,
    }
}

/// Around 1, by the standard deviation of its logarithm.
fn spread(deviation: f64, rng: &mut StdRng) -> f64 {
    LogNormal::new(0.0, deviation).map_or(1.0, |spread| spread.sample(rng))
}
