//! Whom a request may ask for one model: its offers as the route sees them.

use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::Context;
use super::error::Error;
use crate::auth::Scope;
use crate::market::{Model, Offer};
use crate::request::Policy;
use crate::route::{self, eligible};

/// The offers of one model under one policy, for one key.
#[derive(Debug)]
pub(super) struct Slate<'a> {
    offers: &'a [Arc<Offer>],
    policy: Option<&'a Policy>,
    scope: &'a Scope,
    /// Attempts that the policy allows.
    pub(super) attempts_max: usize,
}

impl<'a> Slate<'a> {
    /// # Errors
    /// Nobody offers the model, or nobody that policy and scope admit; the reason names what keeps
    /// them out.
    pub(super) fn new(
        model: &'a Model,
        policy: Option<&'a Policy>,
        scope: &'a Scope,
    ) -> Result<Self, Error> {
        let offers = model.offers.as_slice();
        if offers.is_empty() {
            return Err(Error::NoProvider {
                reason: "no provider offers it".into(),
                retry_after: Some(Duration::from_secs(1)),
            });
        }
        let is_one = policy.is_some_and(|p| !p.allow_fallbacks && p.order.is_empty());
        let attempts_max = if is_one { 1 } else { usize::MAX };
        let slate = Self { offers, policy, scope, attempts_max };
        let mut refusals = SmallVec::<[&str; 4]>::new();
        for offer in offers {
            match slate.refusal(offer) {
                Some(what) if refusals.contains(&what) => {}
                Some(what) => refusals.push(what),
                None => return Ok(slate),
            }
        }
        let (what, count) = (refusals.join(", "), offers.len());
        Err(Error::unserved(format!("{what}: none of its {count} providers fits")))
    }

    fn refusal(&self, offer: &Offer) -> Option<&'static str> {
        if self.policy.is_none() && self.scope.is_anywhere() {
            return None;
        }
        let terms = offer.terms();
        if !eligible::reaches(self.scope, &terms) {
            return Some("the key's scope");
        }
        self.policy.and_then(|policy| eligible::refusal(policy, &terms))
    }

    /// `tried`: places of those that were asked already.
    pub(super) fn candidates(
        &self,
        context: &Context,
        tried: &[usize],
    ) -> impl Iterator<Item = route::Candidate> {
        self.offers.iter().enumerate().map(move |(index, offer)| {
            let (in_flight, cool_down) = (offer.endpoint.in_flight(), offer.endpoint.cool_down());
            let is_out = tried.contains(&index)
                || !offer.endpoint.has_room(&context.limits)
                || self.refusal(offer).is_some();
            let preference = self.policy.map_or(0, |p| eligible::preference(p, &offer.terms()));
            route::Candidate { in_flight, preference, cool_down, is_out }
        })
    }
}
