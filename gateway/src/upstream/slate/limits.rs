//! What keeps an offer out of a request, whatever the moment: the key's scope, what the request needs, and
//! its policy. Fails closed, and says which of them left nobody.

use fixedbitset::FixedBitSet;
use openapi::node::Feature;
use smallvec::SmallVec;
use std::sync::Arc;

use super::super::error::Error;
use super::super::request::Job;
use crate::auth::Scope;
use crate::market::{Model, Offer};
use crate::request::{Endpoint, Policy};
use crate::route::Ask;
use crate::route::eligible::{self, Bill, Needs};

/// Offers of which it is told what keeps them out. Others are hardly kept out by anything else, and who sends
/// what nobody can fulfil is not to cost more than who is served.
const REASONED_MAX: usize = 500;

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits<'a> {
    pub(super) policy: Option<&'a Policy>,
    pub(super) scope: &'a Scope,
    pub(super) needs: Needs,
    pub(super) declared: Declared<'a>,
    pub(super) bill: Bill,
}

/// What must be declared, where the policy requires that all of the request is acted on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Declared<'a> {
    endpoint: Feature,
    /// A member that no feature stands for.
    foreign: Option<&'a str>,
}

/// Features that whoever serves the request must have.
pub(super) fn needs(job: &Job) -> Needs {
    let summary = &job.summary;
    Needs {
        tools: summary.tools,
        json_schema: summary.structured,
        logprobs: summary.logprobs,
        vision: summary.media.pieces > 0,
    }
}

pub(super) fn declared(job: &Job) -> Declared<'_> {
    let endpoint = match job.endpoint {
        Endpoint::ChatCompletions => Feature::Chat,
        Endpoint::Completions => Feature::Completions,
        Endpoint::Embeddings => Feature::Embeddings,
    };
    Declared { endpoint, foreign: job.summary.foreign(&job.body) }
}

/// At most, as far as it can be known.
pub(super) fn bill(ask: &Ask, job: &Job) -> Bill {
    let summary = &job.summary;
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let max = summary.max_tokens.map_or(0.0, |max| max as f64);
    let answers = ask.answer_tokens.max(max * f64::from(summary.choices.max(1)));
    Bill { prompt: ask.prompt_tokens, answers }
}

impl Limits<'_> {
    /// The places of the offers that pass; absent: all do.
    pub(super) fn admitted(&self, model: &Model, ask: &Ask) -> Option<FixedBitSet> {
        let Self { policy, scope, .. } = *self;
        let mut left = match policy.is_none_or(eligible::admits_all) && scope.is_anywhere() {
            true => None,
            false => Some(model.index.admitted(&model.offers, policy, scope)),
        };
        if let Some(able) = model.index.able(&self.needs) {
            match &mut left {
                Some(left) => left.intersect_with(&able),
                None => left = Some(able),
            }
        }
        if let (Some(left), Some(policy)) = (&mut left, policy)
            && policy.max_price.request.is_some()
        {
            let fits = |place: &usize| {
                let offer = model.offers.get(*place);
                offer.is_some_and(|o| eligible::is_within(policy, &self.bill, &o.terms()))
            };
            *left = with_room(left.ones().filter(fits), model.offers.len());
        }
        if policy.is_some_and(|policy| policy.require_parameters) {
            let all = || with_room(0..model.offers.len(), model.offers.len());
            let known = |place: &usize| {
                self.declared.foreign.is_none()
                    && model
                        .offers
                        .get(*place)
                        .is_some_and(|offer| self.undeclared(offer).is_none())
            };
            let some = left.take().unwrap_or_else(all);
            left = Some(with_room(some.ones().filter(known), model.offers.len()));
        }
        self.roomy(model, left, ask)
    }

    fn undeclared(&self, offer: &Offer) -> Option<&'static str> {
        eligible::undeclared(self.declared.endpoint, &self.needs, &offer.terms())
    }

    /// Without those whose context is too short, as far as anybody's is not: then the provider judges, as
    /// tokens are only estimated here.
    fn roomy(&self, model: &Model, left: Option<FixedBitSet>, ask: &Ask) -> Option<FixedBitSet> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let tokens = (ask.prompt_tokens + self.bill.answers) as u64;
        let Some(shorter) = model.index.shorter(tokens) else { return left };
        let mut longer = left.clone().unwrap_or_else(|| full(model.offers.len()));
        longer.difference_with(&shorter);
        if longer.is_clear() { left } else { Some(longer) }
    }

    /// The reasons that keep offers out, each once.
    pub(super) fn refusal(&self, offers: &[Arc<Offer>]) -> Error {
        let requires = self.policy.is_some_and(|policy| policy.require_parameters);
        if let Some(name) = self.declared.foreign.filter(|_| requires) {
            let what = "provider.require_parameters: no provider declares that it acts on";
            return Error::unserved(format!("{what} {name:?}"));
        }
        let mut refusals = SmallVec::<[&str; 4]>::new();
        for offer in offers.iter().take(REASONED_MAX) {
            if let Some(what) = self.reason(offer).filter(|what| !refusals.contains(what)) {
                refusals.push(what);
            }
        }
        let (what, count) = (refusals.join(", "), offers.len());
        Error::unserved(format!("{what}: none of its {count} providers fits"))
    }

    fn reason(&self, offer: &Offer) -> Option<&'static str> {
        let terms = offer.terms();
        if !eligible::reaches(self.scope, &terms) {
            return Some("the key's scope");
        }
        let requires = self.policy.is_some_and(|policy| policy.require_parameters);
        let lack = match requires {
            true => self.undeclared(offer),
            false => eligible::lack(&self.needs, &terms),
        };
        lack.or_else(|| eligible::refusal(self.policy?, &terms)).or_else(|| {
            let is_within = eligible::is_within(self.policy?, &self.bill, &terms);
            (!is_within).then_some("provider.max_price.request")
        })
    }
}

pub(super) fn with_room(places: impl Iterator<Item = usize>, len: usize) -> FixedBitSet {
    let mut set = FixedBitSet::with_capacity(len);
    set.extend(places);
    set
}

fn full(len: usize) -> FixedBitSet {
    let mut set = FixedBitSet::with_capacity(len);
    set.insert_range(..);
    set
}
