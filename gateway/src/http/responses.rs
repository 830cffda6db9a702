//! /v1/responses: a chat completion in other words. The request is translated, answered by the one flow
//! of all completions, and what comes back is translated on its way out. Nothing is stored, so what
//! asks for a stored response finds none.

mod body;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderValue, StatusCode, Uri, header};
use openapi::error::ErrorBody;
use openapi::responses;
use std::sync::Arc;

use super::completion::{self, Caller};
use super::context::Context;
use super::error::Error;
use super::options::Options;
use crate::app::App;
use crate::auth::Principal;
use crate::metrics;
use crate::request::Endpoint;
use crate::responses::{Events, Frame, Origins, translate, whole};

/// Creates a response, whole or streamed.
///
/// Stateless: `previous_response_id`, `conversation`, `store: true`, `background: true`, prompt
/// templates and tools that the server runs are refused by name. A stream consists of events with
/// `sequence_number` from 0, ends with `response.completed`, `response.incomplete` or
/// `response.failed`, and has no `[DONE]`.
#[utoipa::path(
    post,
    path = "/v1/responses",
    operation_id = "createResponse",
    tag = "responses",
    params(openapi::explain::Options),
    request_body(
        content = responses::Request,
        examples(
            ("whole" = (value = json!({"model": "qwen3-8b", "input": "What is 7 plus 5?"}))),
            ("streamed" = (value = json!({
                "model": "qwen3-8b",
                "instructions": "Be brief.",
                "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}],
                "stream": true
            }))),
        )
    ),
    responses(
        (status = 200, description = "The answer; with `stream: true` its events", content(
            (responses::Response = "application/json"),
            ("text/event-stream", item_schema = responses::Event),
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
    let body = super::body::json(&app, &head.headers, body).await?;
    let sent = super::receipts::sent(&app, &body).await;
    let asked = translate(&body)?;
    // From here on what was made of the body is held in its place.
    drop(body);
    let frame = asked.frame.named(context.request_id.as_str(), app.clock.unix_s());
    let frame = frame.explained(Options::read(&head.headers)?.explain);
    let mut share = app.bodies.share();
    share.grow_to((asked.chat.len() + frame.len_bytes()) as u64)?;
    let chat = share.hold(asked.chat);
    let called = metrics::Endpoint::Responses;
    let caller = Caller { context, principal, headers: head.headers, called, sent };
    let answered = completion::answer(&app, caller, Endpoint::ChatCompletions, chat).await;
    let mut response = match answered {
        Ok(response) if response.status() == StatusCode::OK => response,
        Ok(response) => return rename_body(response, &asked.origins).await,
        Err(error) => return Err(rename(error, &asked.origins)),
    };
    response.headers_mut().remove(header::CONTENT_LENGTH);
    if asked.stream {
        Ok(streamed(&app, frame, response))
    } else {
        told(&app, frame, response).await
    }
}

fn streamed(app: &App, frame: Frame, response: Response) -> Response {
    let limits = &app.settings.limits;
    // What the relay mends in an event may make it longer.
    let event_bytes = limits.event_bytes.saturating_mul(2);
    let answer_bytes = usize::try_from(limits.answer_bytes).unwrap_or(usize::MAX);
    let events = Events::new(frame, event_bytes, answer_bytes);
    let clock = Arc::clone(&app.clock);
    response.map(|inner| Body::new(body::Translating::new(inner, events, clock)))
}

async fn told(app: &App, frame: Frame, response: Response) -> Result<Response, Error> {
    let (head, body) = response.into_parts();
    let answer_bytes = usize::try_from(app.settings.limits.answer_bytes).unwrap_or(usize::MAX);
    // The flow bounded it already; it lies in memory.
    let unusable = |message: String| Error::ProviderError { message };
    let chat = to_bytes(body, answer_bytes.saturating_mul(2)).await;
    let chat = chat.map_err(|_| unusable("The provider's answer was not usable.".to_owned()))?;
    let body = whole(frame, &chat, app.clock.unix_s()).map_err(unusable)?;
    Ok(Response::from_parts(head, Body::from(body)))
}

/// An error about the chat request, about the request that was sent.
fn rename(error: Error, origins: &Origins) -> Error {
    match error {
        Error::InvalidRequest { message, param, code } => {
            let param = param.map(|param| origins.param(&param));
            Error::InvalidRequest { message, param, code }
        }
        other => other,
    }
}

/// Longer errors keep the names they have.
const ERROR_BYTES_MAX: usize = 64 * 1024;

/// The same for an error that was made a response already: a provider's, mostly.
async fn rename_body(response: Response, origins: &Origins) -> Result<Response, Error> {
    use http_body::Body as _;
    let (mut head, body) = response.into_parts();
    let is_short = body.size_hint().upper().is_some_and(|bytes| bytes <= ERROR_BYTES_MAX as u64);
    if !is_short {
        return Ok(Response::from_parts(head, body));
    }
    let bytes = to_bytes(body, ERROR_BYTES_MAX).await.unwrap_or_default();
    let renamed = serde_json::from_slice::<serde_json::Value>(&bytes).ok().and_then(|mut value| {
        let param = value.pointer_mut("/error/param")?;
        let name = origins.param(param.as_str()?);
        *param = name.into();
        Some(value.to_string())
    });
    let Some(renamed) = renamed else { return Ok(Response::from_parts(head, Body::from(bytes))) };
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(renamed.len()));
    Ok(Response::from_parts(head, Body::from(renamed)))
}

/// Finds a stored response: there is none.
#[utoipa::path(
    get,
    path = "/v1/responses/{id}",
    operation_id = "getResponse",
    tag = "responses",
    params(("id" = String, Path, description = "The id of a response")),
    responses(
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 404, description = "Responses are not stored", body = ErrorBody),
    ),
    security(("api_key" = [])),
)]
pub(super) async fn find(_: Principal, uri: Uri) -> Error {
    let id = uri.path().split('/').nth(3).unwrap_or_default().to_owned();
    Error::ResponseNotFound { id }
}

/// Deletes a stored response: there is none.
#[utoipa::path(
    delete,
    path = "/v1/responses/{id}",
    operation_id = "deleteResponse",
    tag = "responses",
    params(("id" = String, Path, description = "The id of a response")),
    responses(
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 404, description = "Responses are not stored", body = ErrorBody),
    ),
    security(("api_key" = [])),
)]
pub(super) async fn delete(caller: Principal, uri: Uri) -> Error {
    find(caller, uri).await
}

/// Cancels a response in the background: there is none. A stream is cancelled by closing it.
#[utoipa::path(
    post,
    path = "/v1/responses/{id}/cancel",
    operation_id = "cancelResponse",
    tag = "responses",
    params(("id" = String, Path, description = "The id of a response")),
    responses(
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 404, description = "Responses are not stored", body = ErrorBody),
    ),
    security(("api_key" = [])),
)]
pub(super) async fn cancel(caller: Principal, uri: Uri) -> Error {
    find(caller, uri).await
}

/// Lists what a stored response was asked: there is none.
#[utoipa::path(
    get,
    path = "/v1/responses/{id}/input_items",
    operation_id = "listInputItems",
    tag = "responses",
    params(("id" = String, Path, description = "The id of a response")),
    responses(
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 404, description = "Responses are not stored", body = ErrorBody),
    ),
    security(("api_key" = [])),
)]
pub(super) async fn input_items(caller: Principal, uri: Uri) -> Error {
    find(caller, uri).await
}
