//! Liveness, readiness, metrics.

use super::Context;
use super::error::Error;
use crate::metrics;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use http::header::CONTENT_TYPE;
use serde::Serialize;
use std::future::{Ready, ready};
use std::sync::Arc;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok` or `ready`.
    #[schema(value_type = String)]
    status: &'static str,
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "operation",
    responses((status = 200, description = "The process answers.", body = Health)))]
pub(super) fn healthz() -> Ready<Json<Health>> {
    ready(Json(Health { status: "ok" }))
}

/// New requests are taken.
#[utoipa::path(get, path = "/readyz", tag = "operation", responses(
    (status = 200, description = "New requests are taken.", body = Health),
    (status = 503, description = "Draining, or the engine can't serve.", body = openapi::error::ErrorBody)))]
pub(super) fn readyz(State(context): State<Arc<Context>>) -> Ready<Result<Json<Health>, Error>> {
    let state = if context.shutdown.is_draining() {
        Err(Error::Draining)
    } else {
        context.engine.health().map_err(Error::Unavailable)
    };
    ready(state.map(|()| Json(Health { status: "ready" })))
}

/// Metrics as OpenMetrics text.
#[utoipa::path(get, path = "/metrics", tag = "operation", responses(
    (status = 200, description = "OpenMetrics text.", body = String, content_type = "application/openmetrics-text"),
    (status = 401, description = "Asked from elsewhere, without the provider's key.", body = openapi::error::ErrorBody)))]
pub(super) fn metrics(State(context): State<Arc<Context>>) -> Ready<Result<Response, Error>> {
    let scraped = context.metrics.scrape();
    let scraped = scraped.map_err(|error| Error::internal("metrics", &error.to_string()));
    ready(scraped.map(|text| ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()))
}
