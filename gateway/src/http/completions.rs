//! POST /v1/completions.

use axum::extract::{Request, State};
use axum::response::Response;
use openapi::completions;
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

/// Completes a prompt, whole or streamed: the older form, without a conversation.
///
/// Members this gateway does not know reach the provider unchanged. A stream consists of `data:` and
/// comment lines only and ends with `[DONE]`, or with an error event and no `[DONE]`.
#[utoipa::path(
    post,
    path = "/v1/completions",
    operation_id = "createCompletion",
    tag = "completions",
    params(openapi::explain::Options),
    request_body(
        content = completions::Request,
        examples(
            ("whole" = (value = json!({"model": "qwen3-8b", "prompt": "Once upon a time", "max_tokens": 5}))),
            ("streamed" = (value = json!({"model": "qwen3-8b", "prompt": ["One", "Two"], "stream": true}))),
        )
    ),
    responses(
        (status = 200, description = "The answer; with `stream: true` its chunks as events", content(
            (completions::Response = "application/json"),
            ("text/event-stream", item_schema = completions::Response),
        )),
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
    let called = metrics::Endpoint::Completions;
    let caller = Caller { context, principal, headers: head.headers, called, sent };
    completion::answer(&app, caller, Endpoint::Completions, body).await
}
