//! Who sells a model, as the choice draws them: one seat for each provider, however many offers it has;
//! and who of them was on probation when the snapshot was made.

use fixedbitset::FixedBitSet;
use std::ops::Range;
use std::sync::Arc;

use openapi::node::Standing;

use super::snapshot::Offer;
use crate::route::Learned;

#[derive(Debug, Default)]
pub struct Crowd {
    seats: Vec<Seat>,
    /// Seats on probation, in their order. Where nobody is, both lists are empty.
    newcomers: Vec<u32>,
    veterans: Vec<u32>,
    /// Of the list of offers: each seat's first, and all of the seats on probation.
    firsts: FixedBitSet,
    new: FixedBitSet,
}

/// One provider.
#[derive(Debug)]
pub struct Seat {
    /// Here and not behind the offer: what a look at a candidate needs is one step away.
    pub learned: Arc<Learned>,
    first: u32,
    count: u32,
}

// === impl Crowd ===

impl Crowd {
    /// Offers of a provider lie side by side.
    pub(super) fn new(offers: &[Arc<Offer>]) -> Self {
        let places = || FixedBitSet::with_capacity(offers.len());
        let mut crowd = Self { firsts: places(), new: places(), ..Self::default() };
        let mut before: Option<&Arc<Offer>> = None;
        for (place, offer) in (0u32..).zip(offers) {
            if let (Some(before), Some(seat)) = (before, crowd.seats.last_mut())
                && Arc::ptr_eq(&before.endpoint, &offer.endpoint)
            {
                seat.count += 1;
                continue;
            }
            before = Some(offer);
            crowd.firsts.insert(place as usize);
            crowd.seats.push(Seat { learned: offer.learned.clone(), first: place, count: 1 });
        }
        crowd.part(offers);
        crowd
    }

    fn part(&mut self, offers: &[Arc<Offer>]) {
        let is_new = |seat: &Seat| {
            let member = offers.get(seat.first as usize).and_then(|offer| offer.member());
            member.is_some_and(|member| member.standing() == Standing::Probation)
        };
        let (mut newcomers, mut veterans) = (Vec::new(), Vec::new());
        for (number, seat) in (0u32..).zip(&self.seats) {
            match is_new(seat) {
                true => {
                    newcomers.push(number);
                    self.new.insert_range(seat.places());
                }
                false => veterans.push(number),
            }
        }
        if !newcomers.is_empty() {
            (self.newcomers, self.veterans) = (newcomers, veterans);
        }
    }

    /// Their names, by seat.
    pub(super) fn providers<'a>(
        &self,
        offers: &'a [Arc<Offer>],
    ) -> impl ExactSizeIterator<Item = &'a str> {
        self.seats
            .iter()
            .map(|seat| offers.get(seat.first as usize).map_or("", |offer| &*offer.endpoint.id))
    }

    pub fn len(&self) -> usize {
        self.seats.len()
    }

    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    pub fn seat(&self, number: usize) -> Option<&Seat> {
        self.seats.get(number)
    }

    /// The seats on probation.
    pub fn newcomers(&self) -> &[u32] {
        &self.newcomers
    }

    /// The other seats; empty too where nobody is on probation.
    pub fn veterans(&self) -> &[u32] {
        &self.veterans
    }

    /// Of the list of offers, those of the seats on probation.
    pub fn new_places(&self) -> &FixedBitSet {
        &self.new
    }

    /// How many seats these places in the list of offers have at least, (known, on probation): exact where
    /// each seat has one offer.
    pub fn counts(&self, places: &FixedBitSet) -> (usize, usize) {
        let blocks = places.as_slice().iter().zip(self.firsts.as_slice()).zip(self.new.as_slice());
        blocks.fold((0, 0), |(known, newcomers), ((places, firsts), new)| {
            let seats = places & firsts;
            let count = |seats: usize| seats.count_ones() as usize;
            (known + count(seats & !new), newcomers + count(seats & new))
        })
    }

    /// The seats, each once, of these places in the list of offers; those are sorted.
    pub fn seats_of(&self, places: impl Iterator<Item = usize>) -> Vec<u32> {
        let mut seats = Vec::new();
        for place in places {
            // Where everybody has one offer, seats and places are the same.
            let number = match self.seats.get(place).filter(|seat| seat.first as usize == place) {
                Some(_) => place,
                None => {
                    let after = self.seats.partition_point(|seat| seat.first as usize <= place);
                    after.saturating_sub(1)
                }
            };
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            if seats.last() != Some(&number) {
                seats.push(number);
            }
        }
        seats
    }
}

// === impl Seat ===

impl Seat {
    /// Its places in the list of offers.
    pub fn places(&self) -> Range<usize> {
        self.first as usize..(self.first + self.count) as usize
    }
}
