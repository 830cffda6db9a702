//! Who may be asked for an answer that is to be agreed on: nodes with the very same weights, of operators
//! that the gateway's owner lists or that have proved themselves, each operator once and each network once,
//! in an order that nobody can know beforehand. Fails closed, and asks nobody.

use fixedbitset::FixedBitSet;
use openapi::node::{Feature, Served, Standing};
use openapi::sign::PublicKey;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config;
use crate::market::{Member, Offer};
use crate::route::Gate;
use crate::upstream::attempt::Context;
use crate::upstream::error::Error;
use crate::upstream::request::{Job, Wanted};
use crate::upstream::slate::Slate;

/// Whose word counts.
#[derive(Debug, Clone, Default)]
pub struct Parties {
    /// Nodes and operators by name in the configuration.
    listed: HashSet<PublicKey>,
    /// Operators on this machine are apart, which is so in a market for trying out alone.
    is_loopback_apart: bool,
}

/// What operators that are one may share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    V4([u8; 3]),
    V6([u8; 6]),
    Loopback,
    /// Nobody else's.
    Own,
}

// === impl Parties ===

impl Parties {
    pub fn of(market: &config::Market) -> Self {
        let named = market.nodes.iter().chain(&market.operators);
        Self {
            listed: named.map(|named| named.key).collect(),
            is_loopback_apart: market.loopback_apart,
        }
    }

    /// Free keys make free friends: who is neither listed nor proven has no word.
    pub fn trusts(&self, member: &Member) -> bool {
        let is_listed =
            self.listed.contains(&member.node) || self.listed.contains(&member.operator_key);
        match member.standing() {
            Standing::Active => true,
            Standing::Probation => is_listed,
            Standing::Draining | Standing::Ejected | Standing::Gone => false,
        }
    }
}

impl Network {
    fn of(ip: IpAddr, is_loopback_apart: bool) -> Self {
        match ip.to_canonical() {
            ip if ip.is_loopback() && is_loopback_apart => Self::Own,
            ip if ip.is_loopback() => Self::Loopback,
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, ..] = ip.octets();
                Self::V6([a, b, c, d, e, f])
            }
        }
    }
}

/// The places of offers that may be asked, in their order: each operator once, each network once, all with
/// the same weights.
///
/// # Errors
/// There are fewer than `least`, or nobody at all that the request's policy and scope admit.
pub(super) fn drawn(
    context: &Context,
    job: &Job,
    wanted: &Wanted,
    least: usize,
) -> Result<Vec<usize>, Error> {
    let slate = Slate::new(context, wanted, job)?;
    let mut all = seats(context, job, wanted, &slate, is_comparable);
    all.sort_by_key(|seat| seat.order);
    let mut best: Vec<usize> = Vec::new();
    let mut done: Vec<Weights<'_>> = Vec::new();
    for seat in &all {
        if done.contains(&seat.weights) {
            continue;
        }
        done.push(seat.weights);
        let apart = apart(context, all.iter().filter(|other| other.weights == seat.weights));
        if apart.len() > best.len() {
            best = apart;
        }
    }
    match best.len() {
        found if found < least => Err(Error::unserved(format!(
            "verification.mode quorum needs {least} trusted operators with the same weights on \
             networks of their own, and there are {found}"
        ))),
        _ => Ok(best),
    }
}

/// The places of offers whose answers enough others can score.
///
/// # Errors
/// There is none.
pub(super) fn checkable(
    context: &Context,
    job: &Job,
    wanted: &Wanted,
    scorers: usize,
) -> Result<FixedBitSet, Error> {
    let slate = Slate::new(context, wanted, job)?;
    let scores = |served: &Served, _: &Job| served.features.contains(&Feature::Score);
    let able = seats(context, job, wanted, &slate, scores);
    let all = seats(context, job, wanted, &slate, |_, _| true);
    let mut places = FixedBitSet::with_capacity(wanted.model.offers.len());
    for seat in &all {
        let mut others: Vec<PublicKey> = able
            .iter()
            .filter(|other| other.weights.id == seat.weights.id)
            .map(|other| other.member.operator_key)
            .filter(|operator| *operator != seat.member.operator_key)
            .collect();
        others.sort_unstable();
        others.dedup();
        if others.len() >= scorers {
            places.insert(seat.place);
        }
    }
    match places.is_clear() {
        true => Err(Error::unserved(format!(
            "verification.mode verify needs {scorers} trusted operators beside the provider that can \
             score its answer"
        ))),
        false => Ok(places),
    }
}

struct Seat<'a> {
    place: usize,
    member: &'a Arc<Member>,
    weights: Weights<'a>,
    /// Who fails now comes last.
    order: (bool, u64, u64),
}

/// What makes answers comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Weights<'a> {
    id: &'a str,
    quantization: Option<&'a str>,
    template: Option<&'a str>,
}

fn seats<'a>(
    context: &Context,
    job: &Job,
    wanted: &'a Wanted,
    slate: &Slate<'_>,
    may: impl Fn(&Served, &Job) -> bool,
) -> Vec<Seat<'a>> {
    let now = context.time.now();
    let rank =
        |key: &PublicKey| context.seeds.rank(&job.request_id, job.draw, key.to_string().as_bytes());
    let seat = |(place, offer): (usize, &'a Arc<Offer>)| {
        let (member, served) = (offer.member()?, offer.served()?);
        let is_fit = slate.is_admitted(place)
            && offer.verified
            && context.parties.trusts(member)
            && member.is_open(now, Duration::ZERO)
            && may(served, job);
        let weights = Weights {
            id: served.weights_id.as_deref()?,
            quantization: served.quantization.as_deref(),
            template: served.template_sha256.as_deref(),
        };
        let is_failing = offer.learned.gate(now.run_ms) != Gate::Closed;
        let order = (is_failing, rank(&member.operator_key), rank(&member.node));
        is_fit.then_some(Seat { place, member, weights, order })
    };
    (0..).zip(&wanted.model.offers).filter_map(seat).collect()
}

/// Whether two of them answer alike: they draw by the same noise, or nothing is drawn.
fn is_comparable(served: &Served, job: &Job) -> bool {
    let is_greedy = job.summary.temperature == Some(0.0);
    is_greedy || served.features.contains(&Feature::Resume)
}

/// Each operator once and each network once.
fn apart<'a>(context: &Context, seats: impl Iterator<Item = &'a Seat<'a>>) -> Vec<usize> {
    let (mut operators, mut networks) = (Vec::new(), Vec::new());
    let mut places = Vec::new();
    for seat in seats {
        let is_loopback_apart = context.parties.is_loopback_apart;
        let network = Network::of(seat.member.remote.ip(), is_loopback_apart);
        let is_shared = network != Network::Own && networks.contains(&network);
        if is_shared || operators.contains(&seat.member.operator_key) {
            continue;
        }
        operators.push(seat.member.operator_key);
        networks.push(network);
        places.push(seat.place);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_told_apart_by_what_one_owner_gets() {
        let of = |ip: &str| Network::of(ip.parse().unwrap(), false);
        assert_eq!(of("192.0.2.1"), of("192.0.2.254"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.9"));
        assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:ffff::1"));
        assert_ne!(of("2001:db8:1::1"), of("2001:db8:2::1"));
        assert_eq!((of("127.0.0.1"), of("::1")), (Network::Loopback, Network::Loopback));
        let apart = Network::of("127.0.0.1".parse().unwrap(), true);
        assert_eq!(apart, Network::Own);
    }
}
