//! Completions whose client waits for what others say of the answer: `verification.mode` `quorum` and
//! `verify`. They are never answered from the cache.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue};
use openapi::verification::Verified;
use std::sync::{Arc, OnceLock};

use super::explained::{self, Explained, Told};
use super::{event, event_stream, failed, json, name_provider};
use crate::upstream::{self, Exchange, Head, Settled, Verdict};

const VERIFIED: HeaderName = HeaderName::from_static("x-quorate-verified");

pub(super) async fn answer(exchange: Exchange) -> Response {
    if exchange.is_stream() { streamed(exchange).await } else { whole(exchange).await }
}

async fn whole(mut exchange: Exchange) -> Response {
    match upstream::checked_whole(&mut exchange).await {
        Ok(Settled { body, provider, verification }) => {
            let verified = verification.verified;
            let verdict = Some(Arc::new(Verdict::from(verification)));
            let told = Told { explain: exchange.job().explain.clone(), verdict };
            let mut response = json(explained::whole(body, Some(&told)));
            let attempts = exchange.record.attempts();
            let head = Head { provider: Some(provider), attempts, is_hedged: false };
            name_provider(response.headers_mut(), head);
            name_verified(response.headers_mut(), verified);
            response
        }
        Err(error) => failed(exchange, error),
    }
}

async fn streamed(exchange: Exchange) -> Response {
    let explain = exchange.job().explain.clone();
    let verdict: Arc<Verdict> = Arc::new(OnceLock::new());
    match upstream::checked_stream(exchange, event, verdict.clone()).await {
        Ok((head, body)) => {
            let verified = verdict.get().map_or(Verified::Pending, |verdict| verdict.verified);
            let told = Told { explain, verdict: Some(verdict) };
            let mut response = event_stream(Body::new(Explained::new(body, told)));
            name_provider(response.headers_mut(), head);
            name_verified(response.headers_mut(), verified);
            response
        }
        Err((exchange, error)) => failed(exchange, error),
    }
}

/// Whether the verdict comes with the stream's end.
pub(super) fn is_pending(response: &Response) -> bool {
    let told = response.headers().get(&VERIFIED);
    told.is_some_and(|told| told == Verified::Pending.as_str())
}

fn name_verified(headers: &mut HeaderMap, verified: Verified) {
    headers.insert(VERIFIED, HeaderValue::from_static(verified.as_str()));
}
