//! Whom a request may ask for one model: its offers as the route sees them.

use smallvec::SmallVec;
use std::time::Duration;

use super::attempt::Context;
use super::error::Error;
use crate::market::{Model, Offer};
use crate::request::Policy;
use crate::route::{self, eligible};

/// The offers of one model under one policy.
#[derive(Debug)]
pub(super) struct Slate<'a> {
    offers: &'a [Offer],
    policy: Option<&'a Policy>,
    /// Attempts that the policy allows.
    pub(super) attempts_max: usize,
}

impl<'a> Slate<'a> {
    /// # Errors
    /// Nobody offers the model, or nobody that the policy admits; the reason names its members.
    pub(super) fn new(model: &'a Model, policy: Option<&'a Policy>) -> Result<Self, Error> {
        let offers = model.offers.as_slice();
        if offers.is_empty() {
            return Err(Error::NoProvider {
                reason: "no provider offers it".into(),
                retry_after: Some(Duration::from_secs(1)),
            });
        }
        let Some(policy) = policy else {
            return Ok(Self { offers, policy: None, attempts_max: usize::MAX });
        };
        let mut refusals = SmallVec::<[&str; 4]>::new();
        for offer in offers {
            match eligible::refusal(policy, &offer.terms()) {
                Some(member) if refusals.contains(&member) => {}
                Some(member) => refusals.push(member),
                None => {
                    let is_one = !policy.allow_fallbacks && policy.order.is_empty();
                    let attempts_max = if is_one { 1 } else { usize::MAX };
                    return Ok(Self { offers, policy: Some(policy), attempts_max });
                }
            }
        }
        let (members, count) = (refusals.join(", "), offers.len());
        Err(Error::unserved(format!("{members}: none of its {count} providers fits")))
    }

    /// `tried`: places of those that were asked already.
    pub(super) fn candidates(
        &self,
        context: &Context,
        tried: &[usize],
    ) -> impl Iterator<Item = route::Candidate> {
        self.offers.iter().enumerate().map(move |(index, offer)| {
            let (in_flight, cool_down) = (offer.endpoint.in_flight(), offer.endpoint.cool_down());
            let terms = offer.terms();
            let is_out = tried.contains(&index)
                || in_flight as usize >= context.limits.upstream_connections
                || self.policy.is_some_and(|p| eligible::refusal(p, &terms).is_some());
            let preference = self.policy.map_or(0, |p| eligible::preference(p, &terms));
            route::Candidate { in_flight, preference, cool_down, is_out }
        })
    }
}
