//! GET /v1/models, /v1/models/{id} and /v1/models/{id}/endpoints. What can be asked for is the market's; this file only prints it.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Json, Response};
use openapi::error::ErrorBody;
use openapi::models::{EndpointStatus, Model, ModelEndpoint, ModelEndpoints, ModelList};
use std::sync::Arc;

use super::error::Error;
use super::wanted::reachable;
use crate::app::App;
use crate::auth::Principal;
use crate::market::Snapshot;
use crate::route::eligible;

/// The models that can be asked for.
#[utoipa::path(get, path = "/v1/models", operation_id = "listModels", tag = "models", security(("api_key" = [])),
    responses(
        (status = 200, description = "Every model the key may use, without aliases", body = ModelList),
        (status = 401, description = "No valid key", body = ErrorBody),
    ))]
pub async fn list(principal: Principal, State(app): State<Arc<App>>) -> Json<ModelList> {
    let snapshot = app.market.snapshot();
    let models = snapshot.models().iter();
    let allowed = models.filter(|model| {
        allow(&principal, &model.id, &model.id).is_ok() && reachable(&principal, model).is_ok()
    });
    Json(ModelList::new(allowed.map(|model| model.card.clone()).collect()))
}

/// Refuses a model that the key may not use, under its id or the name that was `asked` for.
///
/// # Errors
/// It is not in the key's scope.
pub(super) fn allow(principal: &Principal, id: &str, asked: &str) -> Result<(), Error> {
    if principal.grant.scope.allows_model(&[id, asked]) {
        return Ok(());
    }
    let message = "This key may not use the model that was asked for.".to_owned();
    Err(Error::Forbidden { message, code: "model_not_allowed" })
}

/// One model, by id or alias. Ids contain slashes and colons, plain or percent-encoded.
#[utoipa::path(get, path = "/v1/models/{*id}", operation_id = "retrieveModel", tag = "models", security(("api_key" = [])),
    params(("id" = String, Path, description = "The model's id or an alias; it may contain slashes")),
    responses(
        (status = 200, description = "The model", body = Model),
        (status = 400, description = "The id is not UTF-8 once decoded", body = ErrorBody),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "The key may not use it", body = ErrorBody),
        (status = 404, description = "No such model", body = ErrorBody),
    ))]
pub async fn find(
    principal: Principal,
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Error> {
    let Ok(Path(name)) = name else {
        return Err(Error::invalid("id", "The model's id is not UTF-8 once decoded."));
    };
    let snapshot = app.market.snapshot();
    if let Some(model) = snapshot.model(&name) {
        allow(&principal, &model.id, &name)?;
        reachable(&principal, model)?;
        return Ok(Json(model.card.clone()).into_response());
    }
    // A wildcard takes the rest of the path, so what follows an id comes here as well.
    match name.strip_suffix("/endpoints") {
        Some(id) => endpoints(&principal, &snapshot, id).map(IntoResponse::into_response),
        None => Err(Error::ModelNotFound { model: name, param: "model" }),
    }
}

/// The providers of a model, with their terms.
#[utoipa::path(get, path = "/v1/models/{id}/endpoints", operation_id = "listModelEndpoints", tag = "models", security(("api_key" = [])),
    params(("id" = String, Path, description = "The model's id or an alias; it may contain slashes")),
    responses(
        (status = 200, description = "Its providers, in the order of the configuration", body = ModelEndpoints),
        (status = 400, description = "The id is not UTF-8 once decoded", body = ErrorBody),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "The key may not use it", body = ErrorBody),
        (status = 404, description = "No such model", body = ErrorBody),
    ))]
pub(super) fn endpoints(
    principal: &Principal,
    snapshot: &Snapshot,
    id: &str,
) -> Result<Json<ModelEndpoints>, Error> {
    let not_found = || Error::ModelNotFound { model: id.to_owned(), param: "model" };
    let model = snapshot.model(id).ok_or_else(not_found)?;
    allow(principal, &model.id, id)?;
    let scope = &principal.grant.scope;
    let within = model.offers.iter().filter(|offer| eligible::reaches(scope, &offer.terms()));
    let data = within.map(|offer| ModelEndpoint {
        provider: offer.endpoint.id.to_string(),
        operator: offer.endpoint.operator.to_string(),
        region: offer.region.as_deref().map(str::to_owned),
        quantization: offer.quantization.as_deref().map(str::to_owned),
        context_length: offer.context,
        prompt_usd_per_million: offer.prices().prompt,
        completion_usd_per_million: offer.prices().completion,
        status: match offer.endpoint.cool_down().is_zero() {
            true => EndpointStatus::Ready,
            false => EndpointStatus::CoolingDown,
        },
        in_flight: offer.endpoint.in_flight(),
    });
    Ok(Json(ModelEndpoints {
        id: model.id.to_string(),
        object: "model.endpoints".to_owned(),
        data: data.collect(),
    }))
}
