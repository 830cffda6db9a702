//! GET /v1/models and /v1/models/{id}. What can be asked for is the market's; this file only prints it.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Json;
use openapi::error::ErrorBody;
use openapi::models::{Model, ModelList};
use std::sync::Arc;

use super::error::Error;
use crate::app::App;
use crate::auth::Principal;

/// The models that can be asked for.
#[utoipa::path(get, path = "/v1/models", operation_id = "listModels", tag = "models", security(("api_key" = [])),
    responses(
        (status = 200, description = "Every model, without aliases", body = ModelList),
        (status = 401, description = "No valid key", body = ErrorBody),
    ))]
pub async fn list(_: Principal, State(app): State<Arc<App>>) -> Json<ModelList> {
    let snapshot = app.market.snapshot();
    Json(ModelList::new(snapshot.models().iter().map(|model| model.card.clone()).collect()))
}

/// One model, by id or alias. Ids contain slashes and colons, plain or percent-encoded.
#[utoipa::path(get, path = "/v1/models/{*id}", operation_id = "retrieveModel", tag = "models", security(("api_key" = [])),
    params(("id" = String, Path, description = "The model's id or an alias; it may contain slashes")),
    responses(
        (status = 200, description = "The model", body = Model),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 404, description = "No such model", body = ErrorBody),
    ))]
pub async fn find(
    _: Principal,
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Model>, Error> {
    let Ok(Path(name)) = name else {
        return Err(Error::invalid("id", "The model's id is not UTF-8 once decoded."));
    };
    let snapshot = app.market.snapshot();
    let model = snapshot.model(&name).map(|model| Json(model.card.clone()));
    model.ok_or(Error::ModelNotFound { model: name })
}
