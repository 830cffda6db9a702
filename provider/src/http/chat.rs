//! `POST /v1/chat/completions`.

use super::Context;
use super::answer::Shape;
use super::error::Error;
use super::generate::{self, Endpoint};
use super::{parse, request};
use axum::extract::{Request, State};
use axum::response::Response;
use openapi::chat;
use openapi::error::ErrorBody;
use std::sync::Arc;

/// Answers a conversation, whole or as a stream of server-sent events that ends with `[DONE]`.
#[utoipa::path(post, path = "/v1/chat/completions", operation_id = "createChatCompletion", tag = "openai",
    request_body = chat::Request,
    params(
        ("x-request-id" = Option<String>, Header, description = "Echoed; at most 128 visible ASCII characters."),
        ("x-quorate-evidence" = Option<String>, Header, description = "`1`: token ids and provenance in SSE comments."),
        ("x-quorate-nonce" = Option<String>, Header, description = "The occasion a commitment is for: 32 hex digits.")),
    responses(
        (status = 200, description = "The answer; with `stream` its chunks.",
            content((chat::Response = "application/json"), ("text/event-stream", item_schema = chat::Chunk))),
        (status = 400, description = "The request is wrong; `param` names the member.", body = ErrorBody),
        (status = 401, description = "No key, or no lease token that counts here.", body = ErrorBody),
        (status = 404, description = "No such model here.", body = ErrorBody),
        (status = 408, description = "The body did not arrive in time.", body = ErrorBody),
        (status = 413, description = "The body is too large.", body = ErrorBody),
        (status = 415, description = "Not JSON, or compressed.", body = ErrorBody),
        (status = 429, description = "The queue is full; `retry-after` says when to come back.", body = ErrorBody,
            headers(("retry-after" = u64, description = "Seconds."))),
        (status = 500, description = "Our fault; the log has it under the request id.", body = ErrorBody),
        (status = 503, description = "Shutting down, or the engine can't serve.", body = ErrorBody)))]
pub(super) async fn create(
    State(context): State<Arc<Context>>,
    request: Request,
) -> Result<Response, Error> {
    let endpoint = Endpoint {
        path: "/v1/chat/completions",
        shape: Shape::Chat,
        plan: |origin| request::chat(parse::json(&origin.body)?, origin),
    };
    Box::pin(generate::serve(context, endpoint, request)).await
}
