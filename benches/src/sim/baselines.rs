//! How others choose, as published: uniformly, in turn, by price, by the fewest requests of two (Envoy,
//! nginx), by the peak of the moving average times the load (Finagle, linkerd, tower), and by probes
//! (Prequal, NSDI 2024). They learn of failures as linkerd's load biaser does: as a peak of five seconds.

use std::collections::VecDeque;

use gateway::route::{Failure, Random};

use super::events::{Us, seconds};
use super::machine::Machine;
use super::policy::{Picked, Picks, Policy, Wanted};
use super::traffic::Job;
use super::world::World;

/// Of the moving averages, in seconds.
const FADE_S: f64 = 10.0;
/// Seconds that a failure counts as.
const PENALTY_S: f64 = 5.0;
/// Of one that was never measured and is busy.
const UNKNOWN_S: f64 = 1e6;
/// Draws that meet only what was tried already, before any is taken.
const DRAWS_MAX: usize = 64;

/// Prequal's published parameters.
const PROBES: usize = 16;
const PROBES_A_REQUEST: usize = 3;
const PROBE_AGE: Us = 1_000_000;
const HOT: f64 = 0.84;
/// Latencies that a provider's median is of.
const RECENT: usize = 9;
/// Loads that the quantile is of.
const LOADS: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    Random,
    RoundRobin,
    InversePriceSquared,
    LeastRequest,
    PeakEwma { draws: usize },
    Prequal,
}

#[derive(Debug)]
pub(super) struct Baseline {
    rule: Rule,
    random: Random,
    loads: Vec<Load>,
    next: usize,
    /// Sums of 1/price².
    weights: Vec<f64>,
    probes: VecDeque<Probe>,
    /// In flight, as probed lately.
    seen: VecDeque<usize>,
    removed: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Load {
    in_flight: u32,
    /// Moving average of the time to the first token.
    peak_s: f64,
    at: Us,
    /// The latest times to the first token.
    recent_s: [f32; RECENT],
    samples: usize,
}

#[derive(Debug, Clone, Copy)]
struct Probe {
    provider: usize,
    in_flight: usize,
    latency_s: f64,
    at: Us,
}

// === impl Rule ===

impl Rule {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::RoundRobin => "round-robin",
            Self::InversePriceSquared => "inverse-price-squared",
            Self::LeastRequest => "least-request-p2c",
            Self::PeakEwma { draws: 2 } => "peak-ewma-p2c",
            Self::PeakEwma { .. } => "peak-ewma-d8",
            Self::Prequal => "prequal-like",
        }
    }
}

// === impl Load ===

impl Load {
    fn observe(&mut self, sample_s: f64, now: Us) {
        self.recent_s[self.samples % RECENT] = sample_s as f32;
        self.samples += 1;
        if sample_s > self.peak_s {
            self.peak_s = sample_s;
        } else {
            let left = (-seconds(now.saturating_sub(self.at)) / FADE_S).exp();
            self.peak_s = self.peak_s * left + sample_s * (1.0 - left);
        }
        self.at = now;
    }

    /// As if a sample of 0 came now, which lets the idle be tried again.
    fn faded_s(&self, now: Us) -> f64 {
        self.peak_s * (-seconds(now.saturating_sub(self.at)) / FADE_S).exp()
    }

    /// Of the latest; 0 where there is none, so that each is tried.
    fn median_s(&self) -> f64 {
        let mut recent_s = self.recent_s;
        let known = &mut recent_s[..self.samples.min(RECENT)];
        known.sort_unstable_by(f32::total_cmp);
        known.get(known.len() / 2).copied().unwrap_or(0.0).into()
    }

    fn cost(&self, now: Us) -> f64 {
        let pending = f64::from(self.in_flight);
        if self.peak_s == 0.0 && self.in_flight > 0 {
            return UNKNOWN_S + pending;
        }
        self.faded_s(now) * (pending + 1.0)
    }
}

// === impl Baseline ===

impl Baseline {
    pub(super) fn new(rule: Rule, world: &World, seed: u64) -> Self {
        let mut sum = 0.0;
        let weights = world.machines.iter().map(|machine| {
            sum += (machine.price_in + machine.price_out).powi(-2);
            sum
        });
        Self {
            rule,
            random: Random::new(seed),
            weights: weights.collect(),
            loads: vec![Load::default(); world.machines.len()],
            next: 0,
            probes: VecDeque::new(),
            seen: VecDeque::new(),
            removed: 0,
        }
    }

    fn draw(&mut self, tried: &[u32]) -> usize {
        let mut drawn = 0;
        for _ in 0..DRAWS_MAX {
            drawn = self.random.below(self.loads.len());
            if !is_tried(tried, drawn) {
                break;
            }
        }
        drawn
    }

    /// The least of so many different ones.
    fn least(&mut self, draws: usize, tried: &[u32], cost: impl Fn(&Load) -> f64) -> usize {
        let mut best = self.draw(tried);
        let mut least = cost(&self.loads[best]);
        for _ in 1..draws {
            let other = self.draw(tried);
            let its = cost(&self.loads[other]);
            if its < least {
                (best, least) = (other, its);
            }
        }
        best
    }

    fn in_turn(&mut self, tried: &[u32]) -> usize {
        loop {
            self.next = (self.next + 1) % self.loads.len();
            if !is_tried(tried, self.next) || tried.len() >= self.loads.len() {
                return self.next;
            }
        }
    }

    fn by_price(&mut self, tried: &[u32]) -> usize {
        let sum = self.weights.last().copied().unwrap_or(0.0);
        let mut drawn = 0;
        for _ in 0..DRAWS_MAX {
            let at = self.random.unit() * sum;
            drawn = self.weights.partition_point(|weight| *weight <= at);
            drawn = drawn.min(self.loads.len() - 1);
            if !is_tried(tried, drawn) {
                break;
            }
        }
        drawn
    }

    /// Hot by its load: the quickest of the cold, or else the least loaded.
    fn by_probes(&mut self, wanted: &Wanted<'_>, machines: &[Machine]) -> usize {
        self.probe(wanted.now, machines);
        self.remove_one();
        let fits = |probe: &Probe| !is_tried(wanted.tried, probe.provider);
        if self.probes.iter().filter(|probe| fits(probe)).count() < 2 {
            return self.draw(wanted.tried);
        }
        let hot = self.hot();
        let rank = |probe: &Probe| match probe.in_flight > hot {
            false => (0, probe.latency_s),
            true => (1, probe.in_flight as f64),
        };
        let best = self
            .probes
            .iter()
            .enumerate()
            .filter(|(_, probe)| fits(probe))
            .min_by(|(_, a), (_, b)| {
                rank(a).partial_cmp(&rank(b)).unwrap_or(std::cmp::Ordering::Equal)
            })
            .map(|(place, _)| place);
        // By its formula a probe is used once, where there are many providers.
        match best.and_then(|place| self.probes.remove(place)) {
            Some(probe) => probe.provider,
            None => self.draw(wanted.tried),
        }
    }

    fn probe(&mut self, now: Us, machines: &[Machine]) {
        self.probes.retain(|probe| now.saturating_sub(probe.at) <= PROBE_AGE);
        for _ in 0..PROBES_A_REQUEST {
            let provider = self.random.below(machines.len());
            let machine = &machines[provider];
            let in_flight = machine.running.len() + machine.waiting.len();
            let latency_s = self.loads[provider].median_s();
            self.probes.push_back(Probe { provider, in_flight, latency_s, at: now });
            self.seen.push_back(in_flight);
        }
        while self.probes.len() > PROBES {
            self.probes.pop_front();
        }
        while self.seen.len() > LOADS {
            self.seen.pop_front();
        }
    }

    fn hot(&self) -> usize {
        let mut seen: Vec<usize> = self.seen.iter().copied().collect();
        let place = (HOT * (seen.len() - 1) as f64) as usize;
        *seen.select_nth_unstable(place).1
    }

    /// The oldest and the worst by turns, so that the pool does not fill with who is shunned.
    fn remove_one(&mut self) {
        if self.probes.len() < 3 {
            return;
        }
        self.removed += 1;
        if self.removed.is_multiple_of(2) {
            self.probes.pop_front();
            return;
        }
        let hot = self.hot();
        let rank = |probe: &Probe| match probe.in_flight > hot {
            true => (1, probe.in_flight as f64),
            false => (0, probe.latency_s),
        };
        let worst = self.probes.iter().enumerate().max_by(|(_, a), (_, b)| {
            rank(a).partial_cmp(&rank(b)).unwrap_or(std::cmp::Ordering::Equal)
        });
        if let Some(place) = worst.map(|(place, _)| place) {
            self.probes.remove(place);
        }
    }

    fn ended(&mut self, provider: u32) -> &mut Load {
        let load = &mut self.loads[provider as usize];
        load.in_flight = load.in_flight.saturating_sub(1);
        load
    }
}

impl Policy for Baseline {
    /// When it began.
    type Flight = Us;

    const CONTINUES: bool = false;

    fn pick(&mut self, wanted: &Wanted<'_>, machines: &[Machine]) -> Picks<Us> {
        let (tried, now) = (wanted.tried, wanted.now);
        let provider = match self.rule {
            Rule::Random => self.draw(tried),
            Rule::RoundRobin => self.in_turn(tried),
            Rule::InversePriceSquared => self.by_price(tried),
            Rule::LeastRequest => self.least(2, tried, |load| load.in_flight.into()),
            Rule::PeakEwma { draws } => self.least(draws, tried, |load| load.cost(now)),
            Rule::Prequal => self.by_probes(wanted, machines),
        };
        self.loads[provider].in_flight += 1;
        let provider = u32::try_from(provider).unwrap_or(u32::MAX);
        Picks { best: Some(Picked { provider, flight: now }), probe: None }
    }

    fn late_after_s(&self, _: &Us) -> Option<f64> {
        None
    }

    fn hedge(&mut self, _: &Wanted<'_>, _: &Us) -> Option<Picked<Us>> {
        None
    }

    fn first_token(&mut self, provider: u32, began: &mut Us, now: Us) {
        self.loads[provider as usize].observe(seconds(now - *began), now);
    }

    fn raced(&mut self, _: bool) {}

    fn succeeded(&mut self, provider: u32, _: Us, _: &Job, _: f64, _: Us) {
        self.ended(provider);
    }

    fn failed(&mut self, provider: u32, began: Us, _: Failure, now: Us) {
        let load = self.ended(provider);
        let sample_s = seconds(now - began).max(PENALTY_S).max(load.peak_s);
        load.observe(sample_s, now);
    }

    fn given_up(&mut self, provider: u32, _: Us, _: Us) {
        self.ended(provider);
    }

    fn audited(&mut self, _: u32, _: bool, _: Us) {}

    fn spent(&mut self, _: f64, _: f64) {}
}

fn is_tried(tried: &[u32], place: usize) -> bool {
    tried.iter().any(|tried| *tried as usize == place)
}
