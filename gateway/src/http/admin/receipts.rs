//! /admin/v1/receipts: operators read any receipt, and have the signing key replaced.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{Json, Response};
use openapi::error::ErrorBody;
use openapi::receipt::{Key, Receipt};
use std::sync::Arc;

use crate::app::App;
use crate::http::context::Context;
use crate::http::error::Error;
use crate::http::receipts::{ask, path, shown};
use crate::receipts::Receipts;

/// A receipt, whoever's it is.
#[utoipa::path(get, path = "/admin/v1/receipts/{id}", operation_id = "findReceipt", tag = "admin",
    security(("admin_token" = [])),
    params(("id" = String, Path, description = "The receipt's id")),
    responses(
        (status = 200, description = "The receipt", body = Receipt),
        (status = 400, description = "The id is not UTF-8 once decoded", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 404, description = "No such receipt; `receipt_pending`: not yet", body = ErrorBody),
        (status = 500, description = "The store failed", body = ErrorBody),
    ))]
pub async fn find(
    State(app): State<Arc<App>>,
    context: Context,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Error> {
    shown(&app, &context, path(id)?, None).await
}

/// Replaces the key that receipts are signed with. The old one stays known; its secret is gone.
#[utoipa::path(post, path = "/admin/v1/receipts/rotate-key", operation_id = "rotateReceiptKey", tag = "admin",
    security(("admin_token" = [])),
    responses(
        (status = 200, description = "The new key", body = Key),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 404, description = "There are no receipts here", body = ErrorBody),
        (status = 500, description = "The key or the store can't be written", body = ErrorBody),
    ))]
pub async fn rotate(State(app): State<Arc<App>>, context: Context) -> Result<Json<Key>, Error> {
    let key = ask(&app, &context, Receipts::rotate).await?;
    tracing::info!(key = %key.key, "receipts have a new key");
    Ok(Json(key))
}
