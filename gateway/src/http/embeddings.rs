//! POST /v1/embeddings.

use axum::extract::{Request, State};
use axum::response::Response;
use openapi::embeddings;
use openapi::error::ErrorBody;
use std::sync::Arc;

use super::body;
use super::completion::{self, Caller};
use super::context::Context;
use super::error::Error;
use super::receipts;
use crate::app::App;
use crate::auth::Principal;
use crate::metrics;
use crate::request::Endpoint;

/// Turns texts, or token ids, into vectors.
///
/// Members this gateway does not know reach the provider unchanged.
#[utoipa::path(
    post,
    path = "/v1/embeddings",
    operation_id = "createEmbedding",
    tag = "embeddings",
    request_body(
        content = embeddings::Request,
        examples(
            ("text" = (value = json!({"model": "qwen3-embed", "input": "What is 7 plus 5?"}))),
            ("batch" = (value = json!({
                "model": "qwen3-embed",
                "input": ["one", "two"],
                "encoding_format": "base64"
            }))),
        )
    ),
    responses(
        (status = 200, description = "One vector for each input, in order", body = embeddings::Response),
        (status = 400, description = "The request is wrong; `param` names the member", body = ErrorBody),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "The key may not use the model, or nobody it may use offers it", body = ErrorBody),
        (status = 404, description = "No such model", body = ErrorBody),
        (status = 413, description = "The body is too long", body = ErrorBody),
        (status = 415, description = "The body is not JSON", body = ErrorBody),
        (status = 429, description = "The key, or all providers, are at their limit", body = ErrorBody),
        (status = 502, description = "The providers failed", body = ErrorBody),
        (status = 503, description = "No provider, or the gateway drains", body = ErrorBody),
        (status = 504, description = "The providers took too long", body = ErrorBody),
    ),
    security(("api_key" = [])),
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    context: Context,
    principal: Principal,
    request: Request,
) -> Result<Response, Error> {
    let (head, body) = request.into_parts();
    let body = body::json(&app, &head.headers, body).await?;
    let sent = receipts::sent(&app, &body).await;
    let called = metrics::Endpoint::Embeddings;
    let caller = Caller { context, principal, headers: head.headers, called, sent };
    completion::answer(&app, caller, Endpoint::Embeddings, body).await
}
