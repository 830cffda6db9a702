//! `GET /v1/verify/evidence/{request_id}`.

use crate::http::Context;
use crate::http::error::Error;
use crate::http::nonce;
use axum::extract::{Path, State};
use axum::response::Json;
use http::HeaderMap;
use openapi::error::ErrorBody;
use openapi::verify::Revealed;
use std::sync::Arc;

/// What this node committed itself to with an answer: shown to whoever names the request and its nonce.
#[utoipa::path(get, path = "/v1/verify/evidence/{request_id}", operation_id = "revealEvidence", tag = "verification",
    params(
        ("request_id" = String, Path, description = "As `x-request-id` named the request."),
        ("x-quorate-nonce" = Option<String>, Header, description = "As it came with the request: 32 hex digits.")),
    responses(
        (status = 200, description = "What the commitment in the answer's provenance is a digest of.", body = Revealed),
        (status = 400, description = "The nonce is none.", body = ErrorBody),
        (status = 401, description = "No key, or no lease token that counts here.", body = ErrorBody),
        (status = 404, description = "Nothing is kept of it: unknown, another nonce, too old, or no room.", body = ErrorBody)))]
pub(in crate::http) async fn show(
    State(context): State<Arc<Context>>,
    Path(request_id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Revealed>, Error> {
    let nonce = nonce::of(&headers)?;
    let kept = context.trust.kept.get(&request_id, &nonce, context.clock.unix_millis());
    let revealed = kept.ok_or(Error::NoEvidence)?;
    Ok(Json(Revealed::clone(&revealed)))
}
