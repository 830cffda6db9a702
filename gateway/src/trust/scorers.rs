//! Who may score an answer: others with the same weights, of other operators, that the request's own policy
//! and scope admit, in an order that nobody can know beforehand. It asks nobody.

use openapi::node::{Feature, Standing};
use std::sync::Arc;

use crate::market::{Now, Offer};
use crate::route::eligible;
use crate::upstream::Answered;

/// The scorers of `answered`, the first choice first, each operator once.
pub(super) fn scorers(answered: &Answered, secret: &[u8; 32], now: Now) -> Vec<Arc<Offer>> {
    let Some(weights_id) = answered.weights_id() else { return Vec::new() };
    let mut all: Vec<(blake3::Hash, &Arc<Offer>)> = Vec::new();
    for offer in &answered.model.offers {
        if is_able(answered, weights_id, offer, now) {
            all.push((place(secret, answered, offer), offer));
        }
    }
    all.sort_by_key(|(place, _)| *place.as_bytes());
    let mut chosen: Vec<Arc<Offer>> = Vec::new();
    for (_, offer) in all {
        let is_new = |one: &Arc<Offer>| operator(one) != operator(offer);
        if chosen.iter().all(is_new) {
            chosen.push(offer.clone());
        }
    }
    chosen
}

fn is_able(answered: &Answered, weights_id: &str, offer: &Offer, now: Now) -> bool {
    let Some((member, served)) = offer.member().zip(offer.served()) else { return false };
    let terms = offer.terms();
    let job = &answered.job;
    member.operator_key != answered.member.operator_key
        && matches!(member.standing(), Standing::Probation | Standing::Active)
        && member.is_open(now, std::time::Duration::ZERO)
        && served.weights_id.as_deref() == Some(weights_id)
        && served.features.contains(&Feature::Score)
        && eligible::reaches(&job.grant.scope, &terms)
        && answered.policy().is_none_or(|policy| eligible::may_see(policy, &terms))
}

fn operator(offer: &Offer) -> Option<openapi::sign::PublicKey> {
    offer.member().map(|member| member.operator_key)
}

fn place(secret: &[u8; 32], answered: &Answered, offer: &Offer) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_keyed(secret);
    hasher.update(b"scorer\0");
    hasher.update(answered.job.request_id.as_bytes());
    hasher.update(&[0]);
    hasher.update(offer.endpoint.id.as_bytes());
    hasher.finalize()
}
