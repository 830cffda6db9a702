//! GET /v1/models, /v1/models/{id} and /v1/models/{id}/endpoints. What can be asked for is the market's; this file only prints it.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Json, Response};
use openapi::error::ErrorBody;
use openapi::models::{EndpointStatus, Latency, Model, ModelEndpoint, ModelEndpoints, ModelList};
use std::sync::Arc;

use super::error::Error;
use super::wanted::reachable;
use crate::app::App;
use crate::auth::Principal;
use crate::market::{self, Offer, Snapshot};
use crate::route::{Ask, Facts, Prefix, Values, eligible};

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
        Some(id) => endpoints(&principal, &app, &snapshot, id).map(IntoResponse::into_response),
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
    app: &App,
    snapshot: &Snapshot,
    id: &str,
) -> Result<Json<ModelEndpoints>, Error> {
    let not_found = || Error::ModelNotFound { model: id.to_owned(), param: "model" };
    let model = snapshot.model(id).ok_or_else(not_found)?;
    allow(principal, &model.id, id)?;
    let scope = &principal.grant.scope;
    let within = model.offers.iter().filter(|offer| eligible::reaches(scope, &offer.terms()));
    let data = within.map(|offer| endpoint(app, model, offer));
    Ok(Json(ModelEndpoints {
        id: model.id.to_string(),
        object: "model.endpoints".to_owned(),
        data: data.collect(),
    }))
}

/// Of a request of middling length, whose prompt no cache has.
pub(super) const ASK: Ask =
    Ask { prompt_tokens: 1_000.0, answer_tokens: 200.0, values: Values::DEFAULT };

/// Of one prediction, how late first tokens come is known over all providers of the model.
fn latency(model: &market::Model, facts: &Facts) -> Latency {
    let expected = facts.first_token_s(&ASK) * facts.congestion();
    let at = |share| model.shared.hedges.ratio(share).map(|ratio| expected * f64::from(ratio));
    Latency {
        p50: rounded(at(0.5).unwrap_or(expected)),
        p90: at(0.9).map(rounded),
        p99: at(0.99).map(rounded),
    }
}

/// To the thousandth: what is learned is not known better.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

fn endpoint(app: &App, model: &market::Model, offer: &Offer) -> ModelEndpoint {
    let (now, learned) = (app.market.time().now(), &offer.learned);
    let facts = learned.facts(&ASK, &Prefix::default(), now.run_ms);
    let (prices, member, served) = (offer.prices(), offer.member(), offer.served());
    // What a node claims is shown with what can be said of it; policies go by the offer's.
    let claimed = member.and_then(|member| member.hello.region.as_deref());
    let known = member.map(|member| &member.known.evidence);
    ModelEndpoint {
        provider: offer.endpoint.id.to_string(),
        operator: offer.endpoint.operator.to_string(),
        region: claimed.or(offer.region.as_deref()).map(str::to_owned),
        region_status: member.and_then(|member| app.bench.region_status(member)),
        quantization: offer.quantization.as_deref().map(str::to_owned),
        context_length: offer.context,
        prompt_usd_per_million: prices.prompt,
        completion_usd_per_million: prices.completion,
        cached_usd_per_million: prices.cached,
        status: match learned.is_asked(now.run_ms) {
            true => EndpointStatus::Ready,
            false => EndpointStatus::CoolingDown,
        },
        latency_s: latency(model, &facts),
        tokens_per_second: rounded(facts.tokens_per_s),
        uptime: rounded(1.0 - facts.failure),
        concurrency: rounded(facts.limit),
        in_flight: offer.endpoint.in_flight(),
        verified: offer.verified,
        weights_id: served.and_then(|served| served.weights_id.clone()),
        engine: served.and_then(|served| served.engine.clone()),
        features: served.map(|served| served.features.clone()),
        hardware: member.map(|member| member.hello.hardware.clone()),
        standing: member.map(|member| member.standing()),
        load: member.and_then(|member| member.load()),
        measured: known.and_then(|known| known.measured(&offer.upstream_model)),
        lease_expires_at_ms: member.map(|member| member.lease_expires_at_ms(now)),
        rented_until_ms: member.and_then(|member| member.rented_until_ms()),
    }
}
