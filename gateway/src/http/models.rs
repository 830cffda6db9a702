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
        (status = 200, description = "Every model the key may use, without aliases", body = ModelList),
        (status = 401, description = "No valid key", body = ErrorBody),
    ))]
pub async fn list(principal: Principal, State(app): State<Arc<App>>) -> Json<ModelList> {
    let snapshot = app.market.snapshot();
    let models = snapshot.models().iter();
    let allowed = models.filter(|model| principal.grant.scope.allows_model(&[&model.id]));
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
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "The key may not use it", body = ErrorBody),
        (status = 404, description = "No such model", body = ErrorBody),
    ))]
pub async fn find(
    principal: Principal,
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Model>, Error> {
    let Ok(Path(name)) = name else {
        return Err(Error::invalid("id", "The model's id is not UTF-8 once decoded."));
    };
    let snapshot = app.market.snapshot();
    let Some(model) = snapshot.model(&name) else {
        return Err(Error::ModelNotFound { model: name });
    };
    allow(&principal, &model.id, &name)?;
    Ok(Json(model.card.clone()))
}
