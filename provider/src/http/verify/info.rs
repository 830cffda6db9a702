//! `GET /v1/verify/info`.

use super::budget::SHARE;
use crate::engine::ModelInfo;
use crate::http::Context;
use axum::extract::State;
use axum::response::Json;
use openapi::error::ErrorBody;
use openapi::verify::{Info, Scorable};
use std::future::{Ready, ready};
use std::sync::Arc;

/// What this node can score.
#[utoipa::path(get, path = "/v1/verify/info", operation_id = "verifyInfo", tag = "verification",
    responses((status = 200, description = "The models whose answers can be scored.", body = Info),
        (status = 401, description = "No key, or no lease token that counts here.", body = ErrorBody)))]
pub(in crate::http) fn tell(State(context): State<Arc<Context>>) -> Ready<Json<Info>> {
    let models = context.engine.models().into_iter().filter_map(scorable).collect();
    ready(Json(Info { models, time_share: SHARE }))
}

/// `None` where nothing can be scored.
fn scorable(model: ModelInfo) -> Option<Scorable> {
    let reach = model.reach?;
    Some(Scorable {
        model: model.id,
        weights_id: model.weights_id?,
        quant: model.quant.unwrap_or_default(),
        kv_dtype: model.kv_dtype.unwrap_or_default(),
        engine: model.engine.unwrap_or_default(),
        tokens_max: reach.tokens_max,
        sampler: reach.sampler.map(str::to_owned),
    })
}
