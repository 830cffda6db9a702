//! The choice of a provider in O(d), never O(n): a few are drawn, and of them the one that is expected to
//! cost least is taken. Five uniformly, two from the consistent-hash ring by the prompt's beginning (who
//! has it in its cache), one of the new or long unused. A full scan is no better than d = 8 and costs
//! hundreds of times as much at 10,000 providers; d = 2 has 2.6 times the p99 of the first token.

use super::breaker::Gate;
use super::cost::{Ask, Cost, Facts};
use super::prefix::Prefix;
use super::random::Random;

const UNIFORM: usize = 5;
/// These, two of the ring and one of the long unused.
const AT_ONCE: usize = UNIFORM + 3;
/// Up to so many are all looked at.
const ALL_MAX: usize = 12;
/// Whoever is loaded more is not asked.
pub const UTILISATION_MAX: f64 = 1.25;
/// Whoever is loaded more is no hedge.
pub const HEDGE_UTILISATION_MAX: f64 = 0.7;
/// Rounds of draws: with less than 14 % usable, P(all of 32 bad) is 1 %.
const ROUNDS: usize = 4;
const DRAWN_MAX: usize = 48;
/// Where none of these was a candidate, so many places in a row are searched for the few that are.
const SWEPT_MAX: usize = 4_096;
/// Of those drawn: where more are ejected, and nobody else is left, ejection is ignored.
pub const EJECTED_MAX: f64 = 0.7;

/// Who can be asked: for one model, under one policy, for one request.
pub trait Pool {
    /// Places are below.
    fn len(&self) -> usize;

    /// `None`: not for this request.
    fn look(&self, place: usize) -> Option<Look>;

    /// The place that comes `nth` after `key` on the ring.
    fn near(&self, key: u64, nth: usize) -> Option<usize>;

    /// One of the new or long unused.
    fn stale(&self, random: &mut Random) -> Option<usize>;

    /// The place is going to be looked at: what that needs may be fetched already.
    fn touch(&self, _place: usize) {}

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One candidate.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub facts: Facts,
    pub gate: Gate,
    /// It asked to be left alone until then.
    pub paused_until_ms: u64,
    /// What the request prefers: lower goes first, whatever it costs.
    pub rank: u32,
}

/// Why a candidate that was drawn can't be taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    Ejected,
    Paused,
    Loaded,
    /// Whatever happens to the others.
    Quarantined,
}

#[derive(Debug, Clone, Copy)]
pub struct Chosen {
    pub place: usize,
    pub facts: Facts,
    pub cost: Cost,
    rank: u32,
}

/// What came of the draws.
#[derive(Debug, Clone, Copy, Default)]
pub struct Choice {
    pub best: Option<Chosen>,
    /// One that was ejected and is due to be tried, beside the best.
    pub probe: Option<Chosen>,
    /// One of the new or long unused, which the best leaves without a request: what is known of it may
    /// be old.
    pub unused: Option<Chosen>,
    /// When the first of those that are paused may be asked again.
    pub paused_until_ms: Option<u64>,
    /// Candidates drawn, and of them those above their limit.
    pub drawn: u32,
    pub loaded: u32,
    /// Mean load of those drawn, each at most 1.
    pub utilisation: f64,
    /// Ejection was ignored.
    pub is_panic: bool,
}

/// How to choose.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub ask: Ask,
    pub prefix: Prefix,
    pub now_ms: u64,
    /// [`UTILISATION_MAX`] or [`HEDGE_UTILISATION_MAX`].
    pub utilisation_max: f64,
    /// [`EJECTED_MAX`], or as configured.
    pub ejected_max: f64,
}

/// `seen`: told of each candidate, for who wants an explanation.
pub fn choose<P: Pool>(
    pool: &P,
    terms: &Terms,
    random: &mut Random,
    mut seen: impl FnMut(usize, &Look, &Cost, Option<Unfit>),
) -> Choice {
    let mut draws = Draws::new(terms);
    if pool.len() <= ALL_MAX {
        draws.stale = pool.stale(random);
        for place in shuffled(pool.len(), random) {
            draws.take(pool, place, &mut seen);
        }
        return draws.close();
    }
    draws.first(pool, random, &mut seen);
    for round in 0..ROUNDS {
        let wanted = match round {
            0 => AT_ONCE,
            _ => draws.usable() + AT_ONCE,
        };
        // Some places are not for this request, or were drawn before.
        for _ in 0..4 * AT_ONCE {
            if draws.usable() >= wanted {
                break;
            }
            draws.take(pool, random.below(pool.len()), &mut seen);
        }
        if draws.is_content() {
            break;
        }
    }
    if draws.looked == 0 {
        draws.sweep(pool, random, &mut seen);
    }
    draws.close()
}

/// The places of a small pool in any order, so that equals share whoever stands beside them.
fn shuffled(len: usize, random: &mut Random) -> impl Iterator<Item = usize> {
    let mut places: [usize; ALL_MAX] = std::array::from_fn(|place| place);
    for at in 1..len.min(ALL_MAX) {
        places.swap(at, random.below(at + 1));
    }
    places.into_iter().take(len)
}

struct Draws<'a> {
    terms: &'a Terms,
    places: [usize; DRAWN_MAX],
    count: usize,
    /// Candidates among the places.
    looked: usize,
    ejected: u32,
    quarantined: usize,
    utilisation: f64,
    choice: Choice,
    /// The place of the new or long unused.
    stale: Option<usize>,
    /// The best of those that are ejected.
    last_resort: Option<Chosen>,
    /// Of those that are loaded, what the cheapest would cost.
    loaded_cost: f64,
}

// === impl Draws ===

impl<'a> Draws<'a> {
    fn new(terms: &'a Terms) -> Self {
        Self {
            terms,
            places: [0; DRAWN_MAX],
            count: 0,
            looked: 0,
            ejected: 0,
            quarantined: 0,
            utilisation: 0.0,
            choice: Choice::default(),
            stale: None,
            last_resort: None,
            loaded_cost: f64::MAX,
        }
    }

    /// The first round. All are touched before the first is looked at.
    fn first<P: Pool>(
        &mut self,
        pool: &P,
        random: &mut Random,
        seen: &mut impl FnMut(usize, &Look, &Cost, Option<Unfit>),
    ) {
        let mut places = [None; AT_ONCE];
        let (named, uniform) = places.split_at_mut(AT_ONCE - UNIFORM);
        for place in uniform {
            let drawn = random.below(pool.len());
            pool.touch(drawn);
            *place = Some(drawn);
        }
        let near = |key: u64| if key == 0 { None } else { pool.near(key, 0) };
        let Prefix { short, long } = self.terms.prefix;
        self.stale = pool.stale(random);
        for (place, found) in named.iter_mut().zip([near(short), near(long), self.stale]) {
            let drawn = found.unwrap_or_else(|| random.below(pool.len()));
            pool.touch(drawn);
            *place = Some(drawn);
        }
        for place in places.into_iter().flatten() {
            self.take(pool, place, seen);
        }
    }

    fn take<P: Pool>(
        &mut self,
        pool: &P,
        place: usize,
        seen: &mut impl FnMut(usize, &Look, &Cost, Option<Unfit>),
    ) {
        let is_drawn = self.places.iter().take(self.count).any(|drawn| *drawn == place);
        let Some(slot) = self.places.get_mut(self.count).filter(|_| !is_drawn) else { return };
        *slot = place;
        self.count += 1;
        self.weigh(pool, place, seen);
    }

    /// From anywhere on, until enough candidates are found.
    fn sweep<P: Pool>(
        &mut self,
        pool: &P,
        random: &mut Random,
        seen: &mut impl FnMut(usize, &Look, &Cost, Option<Unfit>),
    ) {
        let start = random.below(pool.len());
        for place in (start..pool.len()).chain(0..start).take(SWEPT_MAX) {
            if self.looked >= AT_ONCE {
                break;
            }
            self.weigh(pool, place, seen);
        }
    }

    fn weigh<P: Pool>(
        &mut self,
        pool: &P,
        place: usize,
        seen: &mut impl FnMut(usize, &Look, &Cost, Option<Unfit>),
    ) {
        let Some(look) = pool.look(place) else { return };
        self.looked += 1;
        let cost = look.facts.cost(&self.terms.ask);
        let unfit = self.judge(&look);
        seen(place, &look, &cost, unfit);
        let chosen = Chosen { place, facts: look.facts, cost, rank: look.rank };
        match unfit {
            None => {
                if self.stale == Some(place) {
                    self.choice.unused = Some(chosen);
                }
                keep(&mut self.choice.best, chosen);
            }
            Some(Unfit::Ejected) if look.paused_until_ms <= self.terms.now_ms => {
                if look.gate == Gate::Probe {
                    keep(&mut self.choice.probe, chosen);
                }
                keep(&mut self.last_resort, chosen);
            }
            // Its own word holds though its ejection may be ignored.
            Some(Unfit::Ejected | Unfit::Paused) => {
                let until = self.choice.paused_until_ms.unwrap_or(u64::MAX);
                self.choice.paused_until_ms = Some(until.min(look.paused_until_ms));
            }
            Some(Unfit::Loaded) => self.loaded_cost = self.loaded_cost.min(cost.total()),
            Some(Unfit::Quarantined) => {}
        }
    }

    /// Candidates among the places that may ever be taken.
    fn usable(&self) -> usize {
        self.looked - self.quarantined
    }

    /// Where even a loaded one would cost less, the best is one that nobody wants (known to be dishonest,
    /// slow or dear) and idle therefore: worth another look around.
    fn is_content(&self) -> bool {
        self.choice.best.is_some_and(|best| best.cost.total() <= self.loaded_cost)
    }

    fn judge(&mut self, look: &Look) -> Option<Unfit> {
        let utilisation = look.facts.utilisation();
        match look.gate {
            Gate::Closed => {}
            Gate::Quarantined => {
                self.quarantined += 1;
                return Some(Unfit::Quarantined);
            }
            Gate::Open { .. } | Gate::Probe => {
                self.ejected += 1;
                return Some(Unfit::Ejected);
            }
        }
        let running = f64::from(look.facts.in_flight) / look.facts.limit.max(1.0);
        self.utilisation += running.min(1.0);
        if look.paused_until_ms > self.terms.now_ms {
            return Some(Unfit::Paused);
        }
        // One that is idle has room for one, however little it can bear.
        if utilisation > self.terms.utilisation_max && look.facts.in_flight > 0 {
            self.choice.loaded += 1;
            return Some(Unfit::Loaded);
        }
        None
    }

    fn close(mut self) -> Choice {
        let count = |candidates| u32::try_from(candidates).unwrap_or(u32::MAX);
        let (drawn, usable) = (count(self.looked), count(self.usable()));
        let healthy = usable.saturating_sub(self.ejected);
        self.choice.unused = self.choice.unused.filter(|unused| {
            // Prices are known: who wants more money alone could not be the best whatever it turned out
            // to be.
            self.choice.best.is_some_and(|best| {
                best.place != unused.place && unused.cost.money < best.cost.total()
            })
        });
        self.choice.drawn = drawn;
        self.choice.utilisation = self.utilisation / f64::from(healthy.max(1));
        let is_allowed = f64::from(self.ejected) <= self.terms.ejected_max * f64::from(usable);
        if self.choice.best.is_none() && !is_allowed {
            self.choice.best = self.last_resort;
            self.choice.is_panic = self.last_resort.is_some();
        }
        self.choice
    }
}

/// The one of the lower rank; of equals the cheaper.
fn keep(best: &mut Option<Chosen>, other: Chosen) {
    let is_better =
        best.is_none_or(|best| (other.rank, other.cost.total()) < (best.rank, best.cost.total()));
    if is_better {
        *best = Some(other);
    }
}

#[cfg(test)]
mod tests;
