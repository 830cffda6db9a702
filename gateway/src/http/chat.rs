//! POST /v1/chat/completions.

use axum::extract::{Request, State};
use axum::response::Response;
use openapi::chat;
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

/// Creates a chat completion, whole or streamed.
///
/// Members this gateway does not know reach the provider unchanged. A stream consists of `data:` and
/// comment lines only and ends with `[DONE]`, or with an error event and no `[DONE]`.
#[utoipa::path(
    post,
    path = "/v1/chat/completions",
    operation_id = "createChatCompletion",
    tag = "chat",
    params(openapi::explain::Options),
    request_body(
        content = chat::Request,
        examples(
            ("whole" = (value = json!({
                "model": "qwen3-8b",
                "messages": [{"role": "user", "content": "What is 7 plus 5?"}],
                "logprobs": true, "top_logprobs": 2, "n": 2
            }))),
            ("streamed" = (value = json!({
                "model": "qwen3-8b",
                "messages": [
                    {"role": "developer", "content": "Be brief."},
                    {"role": "user", "content": [{"type": "text", "text": "What is 7 plus 5?"}]}
                ],
                "stream": true, "stream_options": {"include_usage": true}
            }))),
        )
    ),
    responses(
        (status = 200, description = "The answer; with `stream: true` its chunks as events", content(
            (chat::Response = "application/json"),
            ("text/event-stream", item_schema = chat::Chunk),
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
    let called = metrics::Endpoint::Chat;
    let caller = Caller { context, principal, headers: head.headers, called, sent };
    completion::answer(&app, caller, Endpoint::ChatCompletions, body).await
}
