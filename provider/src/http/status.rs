//! How the provider stands, for its operator.

use super::Context;
use crate::counters::Counters;
use crate::status::{Status, Work};
use axum::extract::State;
use axum::response::Json;
use openapi::error::ErrorBody;
use std::future::{Ready, ready};
use std::sync::Arc;

/// How this provider stands with its gateways, what it sells, what it has done. To loopback alone,
/// or with the provider's key.
#[utoipa::path(get, path = "/status", operation_id = "providerStatus", tag = "operation", responses(
    (status = 200, description = "How the provider stands.", body = Status),
    (status = 401, description = "Asked from elsewhere, without the provider's key.", body = ErrorBody)))]
pub(super) fn status(State(context): State<Arc<Context>>) -> Ready<Json<Status>> {
    let counters: &Counters = &context.counters;
    ready(Json(Status {
        software: concat!("quorate-provider/", env!("CARGO_PKG_VERSION")).to_owned(),
        now_ms: context.clock.unix_millis(),
        draining: context.shutdown.is_draining(),
        load: context.admission.load(),
        work: Work {
            jobs_started: counters.jobs_started(),
            jobs_finished: counters.jobs_finished(),
            jobs_cancelled: counters.jobs_cancelled(),
            tokens_generated: counters.tokens_generated(),
        },
        models: context.engine.models().into_iter().map(|model| model.id).collect(),
        member: context.links.as_ref().map(|links| links.status()),
    }))
}
