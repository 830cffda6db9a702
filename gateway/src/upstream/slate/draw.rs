//! One choice out of a group of seats, as the route draws it.

use super::Slate;
use super::group::Group;
use crate::config::Limits;
use crate::market::{Now, Offer, Seat};
use crate::route::choice::{self, Choice, Chosen, Look, Pool, Terms};
use crate::route::{Facts, Random};

/// Seats of the ring that are passed in search of one of the group.
const RING_STEPS: usize = 16;

pub(super) struct Draw<'a> {
    pub(super) slate: &'a Slate<'a>,
    pub(super) limits: &'a Limits,
    pub(super) terms: Terms,
    pub(super) now: Now,
    pub(super) tried: &'a [usize],
    pub(super) may: &'a dyn Fn(&Offer) -> bool,
}

/// What can be drawn.
struct Seats<'a> {
    draw: &'a Draw<'a>,
    group: &'a Group<'a>,
    /// Looks at all that may keep an offer out. Otherwise that is done for the one that is chosen.
    is_strict: bool,
    trial: Option<Trial>,
}

/// Who has waited longest goes first, whatever it is expected to cost, but for the money.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trial {
    pub(super) money_max: f64,
}

/// An offer of a seat.
#[derive(Clone, Copy)]
struct Found {
    place: usize,
    facts: Facts,
    rank: u32,
}

// === impl Draw ===

impl Draw<'_> {
    pub(super) fn of(
        &self,
        group: &Group<'_>,
        trial: Option<Trial>,
        random: &mut Random,
    ) -> Choice {
        let of = |is_strict| Seats { draw: self, group, is_strict, trial };
        let quick = self.choose(&of(false), random);
        match quick.best {
            Some(best) if !self.is_ready(best.place) => self.choose(&of(true), random),
            _ => quick,
        }
    }

    fn choose(&self, seats: &Seats<'_>, random: &mut Random) -> Choice {
        let explain = self.slate.job.explain.as_deref();
        let mut choice = choice::choose(seats, &self.terms, random, |at, look, cost, unfit| {
            let Some(explain) = explain else { return };
            if let Some(offer) = seats.place(at).and_then(|place| self.offer(place)) {
                explain.candidate(offer, look, cost, unfit, &self.terms);
            }
        });
        let place = |chosen: Chosen| {
            let mut chosen = chosen;
            chosen.place = seats.place(chosen.place)?;
            Some(chosen)
        };
        choice.best = choice.best.and_then(place);
        choice.probe = choice.probe.and_then(place).filter(|probe| self.is_ready(probe.place));
        // Whether it is ready is looked at by who wants it, which hardly anybody does.
        choice.unused = choice.unused.and_then(place);
        choice
    }

    fn offer(&self, place: usize) -> Option<&Offer> {
        self.slate.model.offers.get(place).map(|offer| &**offer)
    }

    /// What is too far from a candidate's numbers to be looked at for all of them.
    fn is_ready(&self, place: usize) -> bool {
        self.offer(place).is_some_and(|offer| self.slate.is_ready(offer, self.limits, self.now))
    }

    /// Who failed under one offer is not asked under another.
    fn is_tried(&self, seat: &Seat) -> bool {
        let places = seat.places();
        self.tried.iter().any(|tried| places.contains(tried))
    }

    fn fits(&self, place: usize) -> Option<&Offer> {
        let offer = self.offer(place)?;
        (self.slate.is_admitted(place) && (self.may)(offer)).then_some(offer)
    }
}

// === impl Seats ===

impl Seats<'_> {
    /// Of the offer that [`Self::found`] finds.
    fn place(&self, at: usize) -> Option<usize> {
        let seat = self.draw.slate.model.crowd.seat(self.group.seat(at)?)?;
        match seat.places() {
            places if places.len() == 1 => Some(places.start),
            _ => self.found(at).map(|found| found.place),
        }
    }

    /// The best offer of the seat at this place in the group.
    fn found(&self, at: usize) -> Option<Found> {
        let (draw, slate) = (self.draw, self.draw.slate);
        let seat = slate.model.crowd.seat(self.group.seat(at)?)?;
        let places = seat.places();
        if places.is_empty() || draw.is_tried(seat) {
            return None;
        }
        let Terms { ask, prefix, now_ms, .. } = &draw.terms;
        let facts = match seat.learned.facts(ask, prefix, *now_ms) {
            facts if seat.learned.used_ms() > 0 => facts,
            facts => slate.model.shared.unknown(facts, ask),
        };
        let is_only = places.len() == 1;
        let found = |place: usize| {
            let offer = draw.fits(place)?;
            if self.is_strict && !draw.is_ready(place) {
                return None;
            }
            // One seat's offers differ by their prices.
            let facts = if is_only { facts } else { priced(facts, offer) };
            if self.trial.is_some_and(|trial| facts.money(ask) > trial.money_max) {
                return None;
            }
            let rank = if self.trial.is_some() {
                // In steps of 16 ms, which last for two years.
                u32::try_from(seat.learned.used_ms() >> 4).unwrap_or(u32::MAX)
            } else if slate.wish.is_none() {
                0
            } else {
                slate.wish.rank(offer, &facts, ask)
            };
            Some(Found { place, facts, rank })
        };
        let key = |found: &Found| (found.rank, found.facts.cost(ask).total());
        if is_only {
            return found(places.start);
        }
        places
            .filter_map(found)
            .reduce(|one, other| if key(&other) < key(&one) { other } else { one })
    }
}

impl Pool for Seats<'_> {
    fn len(&self) -> usize {
        self.group.len()
    }

    fn look(&self, place: usize) -> Option<Look> {
        let Found { facts, rank, .. } = self.found(place)?;
        let crowd = &self.draw.slate.model.crowd;
        let learned = &crowd.seat(self.group.seat(place)?)?.learned;
        let gate = learned.gate(self.draw.now.run_ms);
        Some(Look { facts, gate, paused_until_ms: learned.paused_until_ms(), rank })
    }

    fn near(&self, key: u64, nth: usize) -> Option<usize> {
        let ring = self.draw.slate.model.ring.from(key).take(RING_STEPS);
        ring.filter_map(|seat| self.group.find(seat)).nth(nth)
    }

    fn touch(&self, place: usize) {
        let crowd = &self.draw.slate.model.crowd;
        let seat = self.group.seat(place).and_then(|seat| crowd.seat(seat));
        seat.into_iter().for_each(|seat| seat.learned.touch());
    }

    /// Of two, who was not asked for longer.
    fn stale(&self, random: &mut Random) -> Option<usize> {
        let crowd = &self.draw.slate.model.crowd;
        let mut one = || {
            let at = random.below(self.group.len());
            let seat = crowd.seat(self.group.seat(at)?)?;
            Some((seat.learned.used_ms(), at))
        };
        let (first, second) = (one()?, one()?);
        Some(first.min(second).1)
    }
}

fn priced(facts: Facts, offer: &Offer) -> Facts {
    let prices = offer.prices();
    let price_in = prices.prompt.unwrap_or_default();
    Facts {
        price_in,
        price_cached: prices.cached.unwrap_or(price_in),
        price_out: prices.completion.unwrap_or_default(),
        ..facts
    }
}
