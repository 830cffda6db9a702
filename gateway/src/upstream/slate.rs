//! Whom a request may ask for one model: its offers as the route sees them. What policy and scope admit
//! is found once, by the model's index; what changes from moment to moment is looked at for each attempt.

use fixedbitset::FixedBitSet;
use openapi::node::Standing;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::Context;
use super::endpoint::Endpoint;
use super::error::Error;
use crate::auth::Scope;
use crate::market::{Member, Model, Now, Offer};
use crate::request::Policy;
use crate::route::{self, eligible};

/// The offers of one model under one policy, for one key.
#[derive(Debug)]
pub(super) struct Slate<'a> {
    offers: &'a [Arc<Offer>],
    /// Absent: all are.
    admitted: Option<FixedBitSet>,
    policy: Option<&'a Policy>,
    /// Tokens that the answer may have, where the client says so.
    answer_tokens: Option<u64>,
    /// Whose turn it is; absent where nobody is on probation.
    turn: Option<Turn>,
    has_members: bool,
    /// Attempts that the policy allows.
    pub(super) attempts_max: usize,
}

/// Nodes on probation get a share of a model's requests, all of them together, as long as somebody else
/// has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Veterans,
    Newcomers,
}

/// What a request is, beside the model.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) policy: Option<&'a Policy>,
    pub(super) scope: &'a Scope,
    pub(super) answer_tokens: Option<u64>,
}

impl<'a> Slate<'a> {
    /// # Errors
    /// Nobody offers the model, or nobody that policy and scope admit; the reason names what keeps
    /// them out. Or nobody takes requests now.
    pub(super) fn new(
        context: &Context,
        model: &'a Model,
        asked: &Asked<'a>,
    ) -> Result<Self, Error> {
        let Asked { policy, scope, answer_tokens } = *asked;
        let offers = model.offers.as_slice();
        if offers.is_empty() {
            return Err(no_provider_now("no provider offers it"));
        }
        let admitted = match policy.is_none() && scope.is_anywhere() {
            true => None,
            false => Some(model.index.admitted(offers, policy, scope)),
        };
        if admitted.as_ref().is_some_and(FixedBitSet::is_clear) {
            return Err(refusal(offers, policy, scope));
        }
        let is_one = policy.is_some_and(|p| !p.allow_fallbacks && p.order.is_empty());
        let attempts_max = if is_one { 1 } else { usize::MAX };
        let mut slate = Self {
            offers,
            admitted,
            policy,
            answer_tokens,
            turn: None,
            has_members: model.index.has_members(),
            attempts_max,
        };
        if slate.has_members {
            let now = slate.now(context);
            slate.turn = slate.has_newcomers().then(|| turn(context));
            if !slate.places().any(|(_, offer)| slate.is_open(offer, now)) {
                return Err(no_provider_now("none of its providers takes requests now"));
            }
        }
        Ok(slate)
    }

    /// Whom to ask next, of those that `may` be: the place in the list of offers. `tried`: places of those that
    /// were asked already.
    pub(super) fn pick(
        &self,
        context: &Context,
        tried: &[usize],
        may: &dyn Fn(&Offer) -> bool,
    ) -> Option<usize> {
        route::choose(self.candidates(context, tried, may), (context.random)())
    }

    fn candidates(
        &self,
        context: &Context,
        tried: &[usize],
        may: &dyn Fn(&Offer) -> bool,
    ) -> impl Iterator<Item = route::Candidate> {
        // Looked at anew: an earlier attempt may have taken its time.
        let now = self.now(context);
        let waiting = self.waiting(context, tried, now);
        let mut before: Option<(&Arc<Endpoint>, u64)> = None;
        self.offers.iter().enumerate().map(move |(place, offer)| {
            let (in_flight, cool_down) = (offer.endpoint.in_flight(), offer.endpoint.cool_down());
            let mut is_out = !may(offer)
                || !self.is_askable(context, tried, (place, offer), now)
                || waiting.is_some_and(|class| class == class_of(offer) && !self.is_wished(offer));
            let preference = match self.policy {
                Some(policy) if !is_out => eligible::preference(policy, &offer.terms()),
                _ => 0,
            };
            // A provider's offers lie side by side: who has many is drawn as often as who has one.
            is_out |= before.is_some_and(|(endpoint, least)| {
                Arc::ptr_eq(endpoint, &offer.endpoint) && least <= preference
            });
            if !is_out {
                before = Some((&offer.endpoint, preference));
            }
            route::Candidate { in_flight, preference, cool_down, is_out }
        })
    }

    fn now(&self, context: &Context) -> Now {
        if self.has_members { context.time.now() } else { Now::default() }
    }

    fn places(&self) -> impl Iterator<Item = (usize, &'a Arc<Offer>)> {
        let is_admitted = |place| self.admitted.as_ref().is_none_or(|a| a.contains(place));
        self.offers.iter().enumerate().filter(move |(place, _)| is_admitted(*place))
    }

    /// The class that has to wait for the other, which has room. The draw is for the first attempt: a
    /// request that failed once is not risked again.
    fn waiting(&self, context: &Context, tried: &[usize], now: Now) -> Option<Turn> {
        let turn = match self.turn? {
            Turn::Newcomers if tried.is_empty() && !self.is_ordered() => Turn::Newcomers,
            _ => Turn::Veterans,
        };
        let has_room = |(place, offer): (usize, &Arc<Offer>)| {
            class_of(offer) == turn
                && self.is_askable(context, tried, (place, offer), now)
                && offer.endpoint.cool_down().is_zero()
                && offer.member().is_none_or(|member| !is_full(member, offer))
        };
        let other = match turn {
            Turn::Veterans => Turn::Newcomers,
            Turn::Newcomers => Turn::Veterans,
        };
        self.places().any(has_room).then_some(other)
    }

    /// Who failed under one offer is not asked under another.
    fn is_askable(
        &self,
        context: &Context,
        tried: &[usize],
        (place, offer): (usize, &Offer),
        now: Now,
    ) -> bool {
        let was_tried = |at: &usize| {
            let tried = self.offers.get(*at);
            tried.is_some_and(|tried| Arc::ptr_eq(&tried.endpoint, &offer.endpoint))
        };
        !tried.iter().any(was_tried)
            && self.admitted.as_ref().is_none_or(|admitted| admitted.contains(place))
            && offer.endpoint.has_room(&context.limits)
            && self.is_open(offer, now)
            && (offer.seller.is_none() || self.is_affordable(offer))
    }

    /// A node may have changed its prices since the slate was made.
    fn is_affordable(&self, offer: &Offer) -> bool {
        self.policy.is_none_or(|policy| eligible::is_affordable(policy, &offer.terms()))
    }

    fn is_open(&self, offer: &Offer, now: Now) -> bool {
        offer.member().is_none_or(|member| member.is_open(now, self.expected(member)))
    }

    /// How long the answer may take, by what was measured of the node.
    fn expected(&self, member: &Member) -> Duration {
        // Only the end of rented capacity asks for it.
        if member.rented_until_ms().is_none() {
            return Duration::ZERO;
        }
        let speed = member.known.figures().decode_tps.filter(|speed| *speed > 0.0);
        let seconds = self.answer_tokens.zip(speed).map(|(tokens, speed)| {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let tokens = tokens as f64;
            tokens / speed
        });
        seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()).unwrap_or_default()
    }

    fn has_newcomers(&self) -> bool {
        self.places().any(|(_, offer)| class_of(offer) == Turn::Newcomers)
    }

    fn is_ordered(&self) -> bool {
        self.policy.is_some_and(|policy| !policy.order.is_empty())
    }

    /// Who asks for a node by name gets it, new or not.
    fn is_wished(&self, offer: &Offer) -> bool {
        self.is_ordered()
            && self.policy.is_some_and(|policy| eligible::is_ordered(policy, &offer.terms()))
    }
}

fn turn(context: &Context) -> Turn {
    match route::draw((context.random)()) < context.probation_share {
        true => Turn::Newcomers,
        false => Turn::Veterans,
    }
}

fn class_of(offer: &Offer) -> Turn {
    match offer.member().map(|member| member.standing()) {
        Some(Standing::Probation) => Turn::Newcomers,
        _ => Turn::Veterans,
    }
}

/// Whether it has as many of our requests as it runs and queues at once.
fn is_full(member: &Member, offer: &Offer) -> bool {
    let capacity = member.hello.capacity;
    offer.endpoint.in_flight() >= capacity.running_max.saturating_add(capacity.queued_max)
}

fn no_provider_now(reason: &'static str) -> Error {
    Error::NoProvider { reason: reason.into(), retry_after: Some(Duration::from_secs(1)) }
}

/// Every reason that keeps an offer out, each once.
fn refusal(offers: &[Arc<Offer>], policy: Option<&Policy>, scope: &Scope) -> Error {
    let mut refusals = SmallVec::<[&str; 4]>::new();
    for offer in offers {
        let terms = offer.terms();
        let what = match eligible::reaches(scope, &terms) {
            false => Some("the key's scope"),
            true => policy.and_then(|policy| eligible::refusal(policy, &terms)),
        };
        if let Some(what) = what.filter(|what| !refusals.contains(what)) {
            refusals.push(what);
        }
    }
    let (what, count) = (refusals.join(", "), offers.len());
    Error::unserved(format!("{what}: none of its {count} providers fits"))
}
