//! How a completion asks the cache, and an answer from there becomes a response.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue};

use super::super::options::Options;
use super::{Caller, event_stream, json, name_provider};
use crate::app::App;
use crate::cache::{Entry, Lookup, Question};
use crate::metrics::Label as _;
use crate::upstream::{Exchange, Head};

pub(super) const HEADER: HeaderName = HeaderName::from_static("x-quorate-cache");

pub(super) fn look_up(
    app: &App,
    caller: &Caller,
    options: &Options<'_>,
    exchange: &Exchange,
) -> Lookup {
    let job = exchange.job();
    let question = Question {
        key_id: caller.principal.grant.id,
        key_name: &caller.principal.key_name,
        endpoint: job.endpoint,
        summary: &job.summary,
        body: &job.body,
        policies: [options.provider, options.verification],
    };
    app.cache.look_up(options.cache, question)
}

/// What the client is told, if it asked.
pub(super) fn header(lookup: &Lookup) -> Option<HeaderValue> {
    lookup.outcome().map(|outcome| HeaderValue::from_static(outcome.as_str()))
}

/// The answer once more, byte by byte: a stream as a stream. Its provider is named, and not asked.
pub(super) fn replay(mut exchange: Exchange, entry: Entry) -> Response {
    let provider = entry.provider.as_ref().and_then(|id| id.to_str().ok()).map(str::to_owned);
    let mut response =
        if exchange.is_stream() { event_stream(Body::from(entry.body)) } else { json(entry.body) };
    name_provider(response.headers_mut(), Head { provider: entry.provider, ..Head::default() });
    exchange.record.answered_here(provider.as_deref());
    response
}
