//! The gateway's own choice, by the code that the gateway runs: what it learns, how it chooses, when it
//! asks a second. Here is only what the gateway's plumbing does around it.

use std::sync::Arc;

use gateway::route::choice::{
    Chosen, EJECTED_MAX, HEDGE_UTILISATION_MAX, Look, Pool, Terms, UTILISATION_MAX, choose,
};
use gateway::route::hedge::Budget;
use gateway::route::{Ask, Failure, Flight, Learned, Prefix, Prior, Random, Shared, Values};

use super::events::Us;
use super::machine::Machine;
use super::policy::{Picked, Picks, Policy, Wanted};
use super::traffic::Job;
use super::world::World;

/// Points of each provider on the ring, as in the market's.
const POINTS: u64 = 16;
/// The one key of all who ask.
const KEY: u64 = 1 << 40;
const BYTES_A_TOKEN: f64 = 4.0;
/// Of those looked at, the one unused for longest is the stale one.
const STALE_OF: usize = 4;

#[derive(Debug)]
pub struct Quorate {
    learned: Vec<Arc<Learned>>,
    shared: Shared,
    /// Sorted hashes, each with its provider.
    ring: Vec<(u64, usize)>,
    random: Random,
    budget: Budget,
}

/// One attempt, and what it was chosen by.
#[derive(Debug)]
pub(super) struct Attempt {
    flight: Flight,
    prompt_bytes: usize,
    first: Option<Us>,
}

struct Seen<'a> {
    quorate: &'a Quorate,
    tried: &'a [u32],
    terms: &'a Terms,
}

// === impl Quorate ===

impl Quorate {
    pub(super) fn new(world: &World, seed: u64) -> Self {
        let learned: Vec<Arc<Learned>> = world
            .machines
            .iter()
            .map(|machine| {
                let round_trip_s = machine.round_trip_s as f32;
                let learned = Learned::new(Prior { round_trip_s, ..Prior::default() });
                learned.price(machine.price_in, machine.price_in, machine.price_out);
                Arc::new(learned)
            })
            .collect();
        let mut points = Random::new(0x7269_6e67);
        let mut ring: Vec<(u64, usize)> = (0..learned.len())
            .flat_map(|place| (0..POINTS).map(move |_| place))
            .map(|place| (points.draw(), place))
            .collect();
        ring.sort_unstable();
        let random = Random::new(seed);
        Self { learned, shared: Shared::default(), ring, random, budget: Budget::default() }
    }

    fn terms(&self, wanted: &Wanted<'_>, utilisation_max: f64) -> Terms {
        let ask = Ask {
            prompt_tokens: self.shared.prompt_tokens(bytes(wanted.job.prompt_tokens)),
            answer_tokens: self.shared.answer_tokens(KEY, None),
            values: Values::default(),
        };
        let prefix = prefix(wanted.job);
        Terms { ask, prefix, now_ms: ms(wanted.now), utilisation_max, ejected_max: EJECTED_MAX }
    }

    fn choose(&mut self, wanted: &Wanted<'_>, terms: &Terms) -> gateway::route::choice::Choice {
        let mut random = Random::new(self.random.draw());
        let pool = Seen { quorate: self, tried: wanted.tried, terms };
        choose(&pool, terms, &mut random, |_, _, _, _| {})
    }

    fn begin(
        &self,
        chosen: &Chosen,
        terms: &Terms,
        wanted: &Wanted<'_>,
        is_probe: bool,
    ) -> Picked<Attempt> {
        let learned = &self.learned[chosen.place];
        let flight =
            Flight::begin(learned, &chosen.facts, &terms.ask, terms.prefix, terms.now_ms, is_probe);
        let prompt_bytes = bytes(wanted.job.prompt_tokens);
        let flight = Attempt { flight, prompt_bytes, first: None };
        Picked { provider: u32::try_from(chosen.place).unwrap_or(u32::MAX), flight }
    }
}

impl Policy for Quorate {
    type Flight = Attempt;

    const CONTINUES: bool = true;

    fn pick(&mut self, wanted: &Wanted<'_>, _: &[Machine]) -> Picks<Attempt> {
        let terms = self.terms(wanted, UTILISATION_MAX);
        let choice = self.choose(wanted, &terms);
        if wanted.tried.is_empty() {
            self.shared.hedges.request(&self.budget, choice.utilisation);
        }
        let best = choice.best.map(|best| self.begin(&best, &terms, wanted, false));
        let probe = choice
            .probe
            .filter(|probe| best.is_some() && self.learned[probe.place].claim_probe(terms.now_ms))
            .map(|probe| self.begin(&probe, &terms, wanted, true));
        Picks { best, probe }
    }

    fn late_after_s(&self, attempt: &Attempt) -> Option<f64> {
        let dispatch = attempt.flight.dispatch();
        (!dispatch.is_probe).then(|| self.shared.hedges.delay_s(dispatch.predicted_s).into())
    }

    fn hedge(&mut self, wanted: &Wanted<'_>, first: &Attempt) -> Option<Picked<Attempt>> {
        let terms = self.terms(wanted, HEDGE_UTILISATION_MAX);
        let second = self.choose(wanted, &terms).best?;
        let dispatch = first.flight.dispatch();
        let waited_s = terms.now_ms.saturating_sub(dispatch.at_ms) as f32 / 1e3;
        let hedges = &self.shared.hedges;
        hedges
            .take(&self.budget, &terms.ask, dispatch.predicted_s, waited_s, &second.facts)
            .ok()?;
        Some(self.begin(&second, &terms, wanted, false))
    }

    fn first_token(&mut self, _: u32, attempt: &mut Attempt, now: Us) {
        attempt.first = Some(now);
        let ratio = attempt.flight.first_token(ms(now));
        self.shared.hedges.observed(ratio);
    }

    fn raced(&mut self, has_hedge_won: bool) {
        self.shared.hedges.settled(has_hedge_won);
    }

    fn succeeded(&mut self, _: u32, mut attempt: Attempt, job: &Job, tokens: f64, now: Us) {
        let count = tokens as u64;
        attempt.flight.succeeded(ms(now), count, Some(0));
        if count > 1 {
            let took = now.saturating_sub(attempt.first.unwrap_or(now)) as f64 / 1e6;
            self.shared.gap((took / tokens) as f32);
            self.shared.answered(KEY, attempt.prompt_bytes, job.prompt_tokens as u64, count);
        }
    }

    fn failed(&mut self, _: u32, mut attempt: Attempt, failure: Failure, now: Us) {
        attempt.flight.failed(failure, ms(now), self.random.unit());
    }

    fn given_up(&mut self, _: u32, attempt: Attempt, now: Us) {
        attempt.flight.censored(ms(now));
        let dispatch = attempt.flight.dispatch();
        let waited_s = ms(now).saturating_sub(dispatch.at_ms) as f32 / 1e3;
        let late_s = self.shared.hedges.delay_s(dispatch.predicted_s);
        // It would have been at least this late: left out, the late would seem ever rarer.
        if attempt.first.is_none() && waited_s >= late_s {
            self.shared.hedges.observed(waited_s / dispatch.predicted_s);
        }
    }

    fn audited(&mut self, provider: u32, is_honest: bool, now: Us) {
        self.learned[provider as usize].audited(is_honest, ms(now));
    }

    fn spent(&mut self, answer: f64, losers: f64) {
        self.shared.hedges.spent(answer, losers);
    }
}

// === impl Seen ===

impl Pool for Seen<'_> {
    fn len(&self) -> usize {
        self.quorate.learned.len()
    }

    fn look(&self, place: usize) -> Option<Look> {
        if self.tried.iter().any(|tried| *tried as usize == place) {
            return None;
        }
        let learned = &self.quorate.learned[place];
        Some(Look {
            facts: learned.facts(&self.terms.ask, &self.terms.prefix, self.terms.now_ms),
            gate: learned.gate(self.terms.now_ms),
            paused_until_ms: learned.paused_until_ms(),
            rank: 0,
        })
    }

    fn near(&self, key: u64, nth: usize) -> Option<usize> {
        let ring = &self.quorate.ring;
        let start = ring.partition_point(|(point, _)| *point < key);
        ring.get((start + nth) % ring.len()).map(|(_, place)| *place)
    }

    fn stale(&self, random: &mut Random) -> Option<usize> {
        let learned = &self.quorate.learned;
        (0..STALE_OF)
            .map(|_| random.below(learned.len()))
            .min_by_key(|place| learned[*place].used_ms())
    }
}

fn prefix(job: &Job) -> Prefix {
    let of = |tokens: f64| if job.prompt_tokens >= tokens { job.beginning } else { 0 };
    Prefix { short: of(256.0), long: of(1024.0).rotate_left(32) }
}

fn bytes(tokens: f64) -> usize {
    (tokens * BYTES_A_TOKEN) as usize
}

fn ms(us: Us) -> u64 {
    us / 1_000
}
