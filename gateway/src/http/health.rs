//! GET /healthz (the process is alive) and /readyz (it takes new requests). Neither asks a provider:
//! with every provider down the gateway is ready, and says 503 for the models it can't serve.

use axum::extract::State;
use axum::response::Json;
use openapi::error::ErrorBody;
use std::sync::Arc;
use utoipa::ToSchema;

use super::error::Error;
use crate::app::App;

#[derive(Debug, serde::Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    status: &'static str,
}

const OK: Health = Health { status: "ok" };

/// Whether the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "health",
    responses((status = 200, description = "Alive", body = Health)))]
pub async fn healthz() -> Json<Health> {
    Json(OK)
}

/// Whether new requests are taken.
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses(
        (status = 200, description = "Taking requests", body = Health),
        (status = 503, description = "Shutting down", body = ErrorBody),
    ))]
pub async fn readyz(State(app): State<Arc<App>>) -> Result<Json<Health>, Error> {
    if app.shutdown.is_draining() { Err(Error::Draining) } else { Ok(Json(OK)) }
}
