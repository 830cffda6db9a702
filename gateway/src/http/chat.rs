//! POST /v1/chat/completions: reads the request once, finds the model, and hands over to the attempts.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use openapi::chat;
use openapi::error::ErrorBody;
use std::sync::Arc;
use tokio::time::Instant;

use super::Deferred;
use super::body;
use super::context::Context;
use super::error::Error;
use crate::app::App;
use crate::auth::Principal;
use crate::metrics::Outcome;
use crate::request::{Endpoint, Probe, Summary};
use crate::stream::{Fallback, error_event};
use crate::upstream::{self, Exchange, Head, Job, Record, Who};

const PROVIDER: HeaderName = HeaderName::from_static("x-quorate-provider");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-quorate-attempts");
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Creates a chat completion, whole or streamed.
///
/// Members this gateway does not know reach the provider unchanged. A stream consists of `data:` and
/// comment lines only and ends with `[DONE]`, or with an error event and no `[DONE]`.
#[utoipa::path(
    post,
    path = "/v1/chat/completions",
    operation_id = "createChatCompletion",
    tag = "chat",
    request_body = chat::Request,
    responses(
        (status = 200, description = "The answer; with `stream: true` its chunks as events", content(
            (chat::Response = "application/json"),
            ("text/event-stream", item_schema = chat::Chunk),
        )),
        (status = 400, description = "The request is wrong; `param` names the member", body = ErrorBody),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 404, description = "No such model", body = ErrorBody),
        (status = 413, description = "The body is too long", body = ErrorBody),
        (status = 415, description = "The body is not JSON", body = ErrorBody),
        (status = 429, description = "All providers are at their limit", body = ErrorBody),
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
    body::require_json(request.headers())?;
    let bytes = body::read(request.into_body(), &app.settings.limits).await?;
    let read = Instant::now();
    let summary = Probe::parse(&bytes, Endpoint::ChatCompletions)?.into_summary();
    let exchange = exchange(&app, &principal, &context, summary, bytes)?;
    app.metrics.overhead_seconds.observe(read.elapsed().as_secs_f64());
    let mut response =
        if exchange.is_stream() { streamed(exchange).await } else { whole(exchange).await };
    response.extensions_mut().insert(Deferred);
    Ok(response)
}

/// The exchange of a request that was read.
fn exchange(
    app: &App,
    principal: &Principal,
    context: &Context,
    summary: Summary,
    body: Bytes,
) -> Result<Exchange, Error> {
    let snapshot = app.market.snapshot();
    let model = snapshot
        .model(&summary.model)
        .ok_or_else(|| Error::ModelNotFound { model: summary.model.clone() })?
        .clone();
    let request_id = &context.request_id;
    let begun = Instant::from_std(context.started);
    let who = Who {
        request_id: request_id.as_str().into(),
        key_name: principal.key_name.clone(),
        model: model.id.clone(),
        is_stream: summary.stream,
        begun,
    };
    let fallback = Fallback {
        id: format!("chatcmpl-{}", request_id.as_str()).into(),
        created: app.clock.unix_s(),
    };
    let job = Job {
        model,
        summary,
        body,
        request_id: request_id.header(),
        fallback,
        deadline: begun + app.settings.limits.request,
    };
    Ok(Exchange::new(app.upstream.clone(), job, Record::new(app.metrics.clone(), who)))
}

async fn streamed(exchange: Exchange) -> Response {
    match upstream::stream(exchange, event).await {
        Ok((head, body)) => {
            let mut response = Response::new(Body::new(body));
            let headers = response.headers_mut();
            headers.reserve(8);
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            headers.insert(NO_BUFFERING, HeaderValue::from_static("no"));
            name_provider(headers, head);
            response
        }
        Err((exchange, error)) => failed(exchange, error),
    }
}

async fn whole(mut exchange: Exchange) -> Response {
    match upstream::whole(&mut exchange).await {
        Ok(answer) => {
            let mut response = Response::new(Body::from(answer.body));
            let headers = response.headers_mut();
            headers.reserve(8);
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let attempts = exchange.record.attempts();
            name_provider(headers, Head { provider: Some(answer.provider), attempts });
            response
        }
        Err(error) => failed(exchange, error),
    }
}

fn name_provider(headers: &mut HeaderMap, head: Head) {
    if let Some(provider) = head.provider {
        headers.insert(PROVIDER, provider);
        headers.insert(ATTEMPTS, HeaderValue::from(head.attempts));
    }
}

/// Puts the failure on record, where its cause stays, and turns it into the client's.
fn failed(mut exchange: Exchange, error: upstream::Error) -> Response {
    let cause = error.to_string();
    let error = Error::from_upstream(error, exchange.model());
    let row = error.row();
    exchange.record.failed(row.status.as_u16(), row.outcome, &cause);
    error.into_response()
}

/// An error as the last event of a stream.
fn event(error: upstream::Error) -> (Bytes, Outcome) {
    let error = Error::from_upstream(error, "");
    (error_event::print(&error.to_event()), error.row().outcome)
}
