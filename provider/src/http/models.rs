//! The models this provider serves.

use super::Context;
use super::error::Error;
use crate::engine::ModelInfo;
use axum::extract::{Path, State};
use axum::response::Json;
use openapi::error::ErrorBody;
use openapi::models::{Model, ModelList};
use std::future::{Ready, ready};
use std::sync::Arc;

/// The models served now.
#[utoipa::path(get, path = "/v1/models", operation_id = "listModels", tag = "openai",
    responses((status = 200, description = "The models served now.", body = ModelList),
        (status = 401, description = "No key, or no lease token that counts here.", body = ErrorBody)))]
pub(super) fn list(State(context): State<Arc<Context>>) -> Ready<Json<ModelList>> {
    let models = context.engine.models().into_iter().map(model).collect();
    ready(Json(ModelList::new(models)))
}

/// One model. Ids may contain slashes and colons.
#[utoipa::path(get, path = "/v1/models/{*id}", operation_id = "retrieveModel", tag = "openai",
    params(("id" = String, Path, description = "The model's id; may contain slashes and colons.")),
    responses((status = 200, description = "The model.", body = Model),
        (status = 401, description = "No key, or no lease token that counts here.", body = ErrorBody),
        (status = 404, description = "No such model here.", body = ErrorBody)))]
pub(super) fn get(
    State(context): State<Arc<Context>>,
    Path(id): Path<String>,
) -> Ready<Result<Json<Model>, Error>> {
    let found = context.engine.models().into_iter().find(|info| info.id == id);
    let found = found.map(|info| Json(model(info))).ok_or(Error::UnknownModel(id));
    ready(found)
}

fn model(info: ModelInfo) -> Model {
    Model { context_length: info.context_length, ..Model::new(info.id, info.created, "quorate") }
}
