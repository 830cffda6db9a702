//! Whether a signed price list counts. Pure.

use openapi::node::{CLOCK_SKEW_MS, MESSAGE_BYTES_MAX, Offer, Price, Served, Sla};
use openapi::sign::{PublicKey, Signed};
use std::borrow::Cow;

use super::member::{OnSale, Prices};
use super::refusal::Refusal;

/// A dollar a token: more is a mistake.
const PUSD_MAX: u64 = 1_000_000_000_000;

/// What of an offer made by `node` for `models` counts at `now_ms` (Unix milliseconds).
///
/// # Errors
/// Another's signature or name on it, a time that is over, a model without its price.
pub(super) fn on_sale(
    signed: &Signed<Offer>,
    node: PublicKey,
    models: &[Served],
    now_ms: i64,
) -> Result<OnSale, Refusal> {
    if signed.statement.len() > MESSAGE_BYTES_MAX {
        return Err(wrong("", "is too long"));
    }
    let offer = signed.open(&node).map_err(|error| wrong("", super::short(&error)))?;
    if offer.node != node {
        return Err(wrong(".node", "is another node"));
    }
    if offer.issued_at_ms > now_ms.saturating_add(CLOCK_SKEW_MS) {
        return Err(wrong(".issued_at_ms", "is in the future"));
    }
    if offer.valid_until_ms <= now_ms {
        return Err(Refusal::OfferExpired);
    }
    if let Some(sla) = &offer.sla {
        check_sla(sla)?;
    }
    let prices = prices(&offer.prices, models)?;
    Ok(OnSale {
        signed: signed.clone(),
        sequence: offer.sequence,
        valid_until_ms: offer.valid_until_ms,
        sla: offer.sla,
        prices,
    })
}

/// Exactly one for each model, in the models' order.
fn prices(list: &[Price], models: &[Served]) -> Result<Vec<Prices>, Refusal> {
    for (at, price) in list.iter().enumerate() {
        let amounts = [price.prompt_pusd, price.completion_pusd, price.cached_pusd.unwrap_or(0)];
        if amounts.iter().any(|amount| *amount > PUSD_MAX) {
            return Err(wrong(&format!(".prices[{at}]"), "is more than a dollar a token"));
        }
        if price.cached_pusd.is_some_and(|cached| cached > price.prompt_pusd) {
            return Err(wrong(&format!(".prices[{at}].cached_pusd"), "is more than prompt_pusd"));
        }
        if !models.iter().any(|served| served.id == price.model) {
            return Err(wrong(&format!(".prices[{at}].model"), "is not served"));
        }
    }
    let of = |served: &Served| {
        let mut its = list.iter().filter(|price| price.model == served.id);
        match (its.next(), its.next()) {
            (Some(price), None) => Ok(Prices {
                prompt: Some(per_million(price.prompt_pusd)),
                cached: price.cached_pusd.map(per_million),
                completion: Some(per_million(price.completion_pusd)),
            }),
            (None, _) => Err(wrong(".prices", "a model that is served has no price")),
            (Some(_), Some(_)) => Err(wrong(".prices", "a model has two prices")),
        }
    };
    models.iter().map(of).collect()
}

fn check_sla(sla: &Sla) -> Result<(), Refusal> {
    let is_share = |share: Option<f64>| share.is_none_or(|share| (0.0..=1.0).contains(&share));
    let speed = sla.tokens_per_second_p50;
    if !is_share(sla.availability) || !is_share(sla.refund) {
        return Err(wrong(".sla", "shares are from 0 to 1"));
    }
    if speed.is_some_and(|speed| !(0.0..=1e9).contains(&speed)) {
        return Err(wrong(".sla.tokens_per_second_p50", "is not from 0 to 1e9"));
    }
    Ok(())
}

/// Pico-dollars a token are micro-dollars a million tokens.
#[expect(clippy::cast_precision_loss, reason = "at most 1e12")]
fn per_million(pusd: u64) -> f64 {
    pusd as f64 / 1e6
}

fn wrong(member: &str, what: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::OfferInvalid { param: format!("offer{member}"), what: what.into() }
}
