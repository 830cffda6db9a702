//! Seats that are drawn from together: all of a model's, a list that the snapshot keeps, or one that was
//! made for the request. Lists are sorted.

use fixedbitset::FixedBitSet;

use crate::market::{Crowd, Model};
use crate::request::Policy;

/// With fewer admitted than one in so many, they are listed and not found by luck.
const SPARSE: usize = 4;

#[derive(Debug)]
pub(super) enum Group<'a> {
    /// So many seats.
    All(usize),
    Kept(&'a [u32]),
    Made(Vec<u32>),
}

impl Group<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::All(count) => *count,
            Self::Kept(list) => list.len(),
            Self::Made(list) => list.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn seat(&self, at: usize) -> Option<usize> {
        match self {
            Self::All(count) => (at < *count).then_some(at),
            Self::Kept(list) => list.get(at).map(|seat| *seat as usize),
            Self::Made(list) => list.get(at).map(|seat| *seat as usize),
        }
    }

    /// Where a seat is in it.
    pub(super) fn find(&self, seat: usize) -> Option<usize> {
        let list = match self {
            Self::All(count) => return (seat < *count).then_some(seat),
            Self::Kept(list) => list,
            Self::Made(list) => list.as_slice(),
        };
        list.binary_search(&u32::try_from(seat).ok()?).ok()
    }
}

/// Who is known, and who is on probation; where many are admitted, some of the seats may not be.
pub(super) fn parted<'a>(
    crowd: &'a Crowd,
    admitted: Option<&FixedBitSet>,
) -> (Group<'a>, Group<'a>) {
    let newcomers = crowd.newcomers();
    let sparse = admitted.filter(|admitted| {
        let count = admitted.count_ones(..);
        !newcomers.is_empty() || count < admitted.len() / SPARSE
    });
    if let Some(admitted) = sparse {
        let seats = crowd.seats_of(admitted.ones());
        let (new, known) =
            seats.into_iter().partition(|seat| newcomers.binary_search(seat).is_ok());
        return (Group::Made(known), Group::Made(new));
    }
    match newcomers.is_empty() {
        true => (Group::All(crowd.len()), Group::Kept(&[])),
        false => (Group::Kept(crowd.veterans()), Group::Kept(newcomers)),
    }
}

/// For each name of the policy's `order`, those who bear it.
pub(super) fn ordered<'a>(
    model: &'a Model,
    policy: &Policy,
    admitted: Option<&FixedBitSet>,
) -> Vec<Group<'a>> {
    let seats = |name: &String| {
        let places = model.index.party(name);
        let fits = |place: &usize| admitted.is_none_or(|admitted| admitted.contains(*place));
        Group::Made(model.crowd.seats_of(places.into_iter().filter(fits)))
    };
    policy.order.iter().map(seats).collect()
}
