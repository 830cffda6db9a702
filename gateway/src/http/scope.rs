//! A key's scope at the market: which models, and whose offers, its requests may reach.

use super::error::Error;
use crate::auth::Scope;
use crate::market::{Model, Offer};

/// Whether the offer is one of the key's regions and providers.
pub(super) fn reaches(scope: &Scope, offer: &Offer) -> bool {
    scope.allows_region(offer.region.as_deref())
        && scope.allows_provider(&offer.endpoint.id, &offer.endpoint.operator)
}

/// Whether the key may use the model: by id, as lists have it.
pub(super) fn shows(scope: &Scope, model: &Model) -> bool {
    check(scope, model, &model.id).is_ok()
}

/// Refuses a model that the key may not use, under its id or the name that was `asked` for. A model
/// that nobody offers is no matter of the key's.
///
/// # Errors
/// It is not in the key's scope, or nobody in the scope offers it.
pub(super) fn check(scope: &Scope, model: &Model, asked: &str) -> Result<(), Error> {
    let forbidden =
        |message: &str, code| Err(Error::Forbidden { message: message.to_owned(), code });
    if !scope.allows_model(&[&model.id, asked]) {
        return forbidden(
            "This key may not use the model that was asked for.",
            "model_not_allowed",
        );
    }
    let reaches_any = || model.offers.iter().any(|offer| reaches(scope, offer));
    if model.offers.is_empty() || reaches_any() {
        return Ok(());
    }
    let allows_region = |offer: &Offer| scope.allows_region(offer.region.as_deref());
    if model.offers.iter().any(allows_region) {
        let message = "This key may not use any of the providers of this model.";
        return forbidden(message, "provider_not_allowed");
    }
    let message = "No provider of this model is in a region that this key may use.";
    forbidden(message, "region_not_allowed")
}
