//! What all completion-like endpoints share: the request is read once, its model found, and the
//! attempts are made; then the answer gets its headers. It knows no endpoint's own shape.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::sync::Arc;
use tokio::time::Instant;

use super::Deferred;
use super::context::Context;
use super::error::Error;
use super::options::Options;
use super::{limits, receipts, wanted};
use crate::app::App;
use crate::auth::Principal;
use crate::cache::{Lookup, Recorded, Slot};
use crate::metrics::{self, Outcome};
use crate::receipts::{Digested, Ticket};
use crate::request::policy::Mode;
use crate::request::{Endpoint, Probe};
use crate::stream::{Fallback, error_event};
use crate::upstream::{self, Exchange, Head, Job, Receipt, Record, Streaming, Who};

mod cached;
mod explained;
mod verified;

use explained::{Explained, Told};

const PROVIDER: HeaderName = HeaderName::from_static("x-quorate-provider");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-quorate-attempts");
const HEDGED: HeaderName = HeaderName::from_static("x-quorate-hedged");
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Who asks, and with what beside the body.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) context: Context,
    pub(super) principal: Principal,
    pub(super) headers: HeaderMap,
    /// How the request counts.
    pub(super) called: metrics::Endpoint,
    /// The body as it was sent; absent where no receipts are made.
    pub(super) sent: Option<Digested>,
}

/// Answers a request of the endpoint's shape, whole or as the events of a stream.
///
/// # Errors
/// A request that is wrong or cannot be served. What fails once attempts were made is a response
/// already, since its record has to say so.
pub(super) async fn answer(
    app: &App,
    caller: Caller,
    endpoint: Endpoint,
    body: Bytes,
) -> Result<Response, Error> {
    let read = Instant::now();
    let options = Options::read(&caller.headers)?;
    let mut exchange = exchange(app, &caller, &options, endpoint, body)?;
    let ticket = receipts::begin(app, &caller, exchange.job().verification);
    let receipt = |ticket: &Ticket| Receipt { id: ticket.id(), sheet: ticket.sheet().clone() };
    exchange.receipted(ticket.as_ref().map(receipt));
    if exchange.job().verification.is_wanted() {
        app.metrics.overhead_seconds.observe(read.elapsed().as_secs_f64());
        let (mut response, verified) = Box::pin(verified::answer(exchange)).await;
        match ticket {
            Some(ticket) => receipts::attach(&mut response, ticket, verified),
            None if response.status().is_success() => {
                receipts::name_verified(response.headers_mut(), verified);
            }
            None => {}
        }
        response.extensions_mut().insert(Deferred);
        return Ok(response);
    }
    let lookup = cached::look_up(app, &caller, &options, &exchange);
    app.metrics.overhead_seconds.observe(read.elapsed().as_secs_f64());
    let told = cached::header(&lookup);
    let mut response = match lookup {
        Lookup::Hit(entry) => cached::replay(exchange, entry),
        lookup if exchange.is_stream() => streamed(exchange, lookup.slot()).await,
        lookup => whole(exchange, lookup.slot()).await,
    };
    if let Some(told) = told {
        response.headers_mut().insert(cached::HEADER, told);
    }
    if let Some(ticket) = ticket {
        let verified = ticket.verified();
        receipts::attach(&mut response, ticket, verified);
    }
    response.extensions_mut().insert(Deferred);
    Ok(response)
}

/// The exchange of a request that was read.
fn exchange(
    app: &App,
    caller: &Caller,
    options: &Options<'_>,
    endpoint: Endpoint,
    body: Bytes,
) -> Result<Exchange, Error> {
    let probe = Probe::parse(&body, endpoint)?;
    let (wanted, verification) =
        wanted::wanted(&app.market.snapshot(), &probe, options, &caller.principal)?;
    let summary = probe.into_summary();
    let policy = wanted.first().and_then(|wanted| wanted.policy.as_deref());
    let hedge = policy.map(|policy| policy.hedge).unwrap_or_default();
    let request_id = &caller.context.request_id;
    let begun = Instant::from_std(caller.context.started);
    let who = Who {
        request_id: request_id.as_str().into(),
        endpoint: caller.called,
        key_name: caller.principal.key_name.clone(),
        model: wanted.first().map(|wanted| wanted.model.id.clone()).unwrap_or_default(),
        is_stream: summary.stream,
        begun,
    };
    let prefix = if endpoint == Endpoint::Completions { "cmpl" } else { "chatcmpl" };
    let fallback = Fallback {
        id: format!("{prefix}-{}", request_id.as_str()).into(),
        created: app.clock.unix_s(),
    };
    let limit = app.settings.limits.request;
    let patience = options.timeout.map_or(limit, |wanted| wanted.min(limit));
    let times = if verification.mode == Mode::Quorum { verification.n() } else { 1 };
    let reserved = limits::reserve(app, &caller.principal, endpoint, &summary, &body, times)?;
    let record = Record::new(app.metrics.clone(), who).holding(reserved);
    let job = Job {
        endpoint,
        wanted,
        grant: caller.principal.grant.clone(),
        summary,
        urgency: options.urgency,
        hedge,
        tenant: upstream::tenant(&caller.principal.key_name),
        explain: options.explain.then(Arc::default),
        body,
        request_id: request_id.header(),
        draw: (app.upstream.random)(),
        fallback,
        deadline: begun + patience,
        verification,
        keep: None,
        receipt: None,
        continuation: None,
    };
    Ok(Exchange::new(app.upstream.clone(), job, record))
}

async fn streamed(exchange: Exchange, slot: Option<Slot>) -> Response {
    let explain = exchange.job().explain.clone();
    match upstream::stream(exchange, event).await {
        Ok((head, body)) => {
            let body = match slot {
                Some(slot) => {
                    let provider = head.provider.clone();
                    Body::new(Recorded::new(body, Streaming::is_whole, slot, provider))
                }
                None => Body::new(body),
            };
            let body = match explain {
                Some(explain) => Body::new(Explained::new(body, Told::explaining(explain))),
                None => body,
            };
            let mut response = event_stream(body);
            name_provider(response.headers_mut(), head);
            response
        }
        Err((exchange, error)) => failed(exchange, error),
    }
}

async fn whole(mut exchange: Exchange, slot: Option<Slot>) -> Response {
    match upstream::whole(&mut exchange).await {
        Ok(answer) => {
            if let Some(slot) = slot {
                slot.keep(&answer.body, Some(answer.provider.clone()));
            }
            let mut response =
                json(explained::whole(answer.body, Told::of(exchange.job()).as_ref()));
            let attempts = exchange.record.attempts();
            let is_hedged = exchange.record.is_hedged();
            let head = Head { provider: Some(answer.provider), attempts, is_hedged };
            name_provider(response.headers_mut(), head);
            response
        }
        Err(error) => failed(exchange, error),
    }
}

fn event_stream(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.reserve(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(NO_BUFFERING, HeaderValue::from_static("no"));
    response
}

fn json(body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.reserve(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn name_provider(headers: &mut HeaderMap, head: Head) {
    if let Some(provider) = head.provider {
        headers.insert(PROVIDER, provider);
        headers.insert(ATTEMPTS, HeaderValue::from(head.attempts));
        if head.is_hedged {
            headers.insert(HEDGED, HeaderValue::from_static("1"));
        }
    }
}

/// Puts the failure on record, where its cause stays, and turns it into the client's.
fn failed(mut exchange: Exchange, error: upstream::Error) -> Response {
    let cause = error.to_string();
    let error = Error::from_upstream(error, exchange.model());
    let row = error.row();
    exchange.record.failed(row.status.as_u16(), row.outcome, &cause);
    explained::error(error.to_response(), Told::of(exchange.job()).as_ref())
}

/// An error as the last event of a stream.
fn event(error: upstream::Error) -> (Bytes, Outcome) {
    let error = Error::from_upstream(error, "");
    (error_event::print(&error.to_event()), error.row().outcome)
}
