//! Who may score an answer: others with the same weights, of other operators, that the request's own policy
//! and scope admit, in an order that nobody can know beforehand. It asks nobody.

use openapi::node::{Feature, Standing};
use openapi::sign::PublicKey;
use std::sync::Arc;
use std::time::Duration;

use super::case::occasion;
use crate::audit::draw::Draw;
use crate::market::{Now, Offer};
use crate::route::eligible;
use crate::upstream::Answered;

/// The scorers of `answered`, the first choice first, each operator once.
pub(super) fn scorers(answered: &Answered, draw: &Draw, now: Now) -> Vec<Arc<Offer>> {
    let weights_id = answered.weights_id();
    let Some(weights_id) = weights_id else { return Vec::new() };
    let offers = answered.model.offers.iter();
    let mut all: Vec<&Arc<Offer>> =
        offers.filter(|offer| is_able(answered, weights_id, offer, now)).collect();
    draw.order(&occasion(&answered.job), &mut all, |offer| offer.endpoint.id.as_bytes());
    let mut chosen: Vec<Arc<Offer>> = Vec::new();
    for offer in all {
        if chosen.iter().all(|one| operator(one) != operator(offer)) {
            chosen.push(offer.clone());
        }
    }
    chosen
}

fn is_able(answered: &Answered, weights_id: &str, offer: &Offer, now: Now) -> bool {
    let Some((member, served)) = offer.member().zip(offer.served()) else { return false };
    let terms = offer.terms();
    member.operator_key != answered.member.operator_key
        && matches!(member.standing(), Standing::Probation | Standing::Active)
        && member.is_open(now, Duration::ZERO)
        && served.weights_id.as_deref() == Some(weights_id)
        && served.features.contains(&Feature::Score)
        && eligible::reaches(&answered.job.grant.scope, &terms)
        && answered.policy().is_none_or(|policy| eligible::may_see(policy, &terms))
}

fn operator(offer: &Offer) -> Option<PublicKey> {
    offer.member().map(|member| member.operator_key)
}
