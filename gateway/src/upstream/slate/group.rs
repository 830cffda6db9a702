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

/// Who is known, and who is on probation. Where many of a group are admitted, some of its seats may not be:
/// they are not listed, which would take as long as there are providers.
pub(super) fn parted<'a>(
    crowd: &'a Crowd,
    admitted: Option<&FixedBitSet>,
) -> (Group<'a>, Group<'a>) {
    let (known, new) = match crowd.newcomers() {
        [] => (Group::All(crowd.len()), Group::Kept(&[])),
        newcomers => (Group::Kept(crowd.veterans()), Group::Kept(newcomers)),
    };
    let Some(admitted) = admitted else { return (known, new) };
    let counts = crowd.counts(admitted);
    let is_sparse = |group: &Group<'_>, count: usize| count <= group.len() / SPARSE;
    let known = match is_sparse(&known, counts.0) {
        true => Group::Made(crowd.seats_of(admitted.difference(crowd.new_places()))),
        false => known,
    };
    let new = match is_sparse(&new, counts.1) {
        true => Group::Made(crowd.seats_of(admitted.intersection(crowd.new_places()))),
        false => new,
    };
    (known, new)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::System;
    use crate::config;
    use crate::market::Market;
    use crate::market::testing::{Node, served};
    use openapi::sign::SecretKey;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    /// So many nodes that sell the model, each second of them known.
    fn market(count: usize) -> (Market, Vec<crate::market::Membership>) {
        let weights = format!("b3:{}", "a1".repeat(32));
        let text = format!(
            "[server]\ndata_dir = \"/nowhere\"\n[market]\nnode_listen = \"127.0.0.1:0\"\n\
             join = \"open\"\nprobation_answers = 1\n\
             [[model]]\nid = \"m\"\nweights_ids = [{weights:?}]\n"
        );
        let settings = config::parse(&text, &|_| None).unwrap();
        let identity = Arc::new(SecretKey::from_seed(&[1; 32]));
        let market = Market::new(&settings, identity, Arc::new(System)).unwrap();
        let url = "http://192.0.2.1/v1".parse().unwrap();
        let mut members = Vec::new();
        for number in 0..count {
            // Some have two offers of the model.
            let models = vec![served("m", Some(&weights)), served("m2", Some(&weights))];
            let models = models.into_iter().take(1 + usize::from(number % 10 == 0)).collect();
            let member = Node::new(number as u64, models).join(&market, &url).unwrap();
            if number % 2 == 0 {
                member.member().answered(1);
            }
            members.push(member);
        }
        market.publish();
        (market, members)
    }

    fn seats(group: &Group<'_>) -> Vec<usize> {
        (0..group.len()).filter_map(|at| group.seat(at)).collect()
    }

    #[test]
    fn groups_hold_all_who_are_admitted_each_once_and_list_only_few() {
        let (market, _members) = market(80);
        let snapshot = market.snapshot();
        let model = snapshot.model("m").unwrap();
        let crowd = &model.crowd;
        assert_eq!(crowd.newcomers().len(), 40);
        for step in [1, 2, 3, 5, 7, 30, 1_000] {
            for first in 0..3 {
                let mut admitted = FixedBitSet::with_capacity(model.offers.len());
                admitted.extend((first..model.offers.len()).step_by(step));
                let (known, new) = parted(crowd, Some(&admitted));
                for (group, kept) in [(&known, crowd.veterans()), (&new, crowd.newcomers())] {
                    let wanted: BTreeSet<usize> = crowd
                        .seats_of(admitted.ones())
                        .into_iter()
                        .filter(|seat| kept.contains(seat))
                        .map(|seat| seat as usize)
                        .collect();
                    let found = seats(group);
                    assert!(found.is_sorted_by(|one, other| one < other));
                    assert!(wanted.iter().all(|seat| found.contains(seat)), "{first} {step}");
                    match group {
                        Group::Made(_) => assert_eq!(found.len(), wanted.len()),
                        _ => assert!(wanted.len() > kept.len() / SPARSE, "found by luck"),
                    }
                    let is_listed = matches!(group, Group::Made(_));
                    assert!(!is_listed || wanted.len() <= kept.len() / 2, "{first} {step}");
                }
            }
        }
    }
}
