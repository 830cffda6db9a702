//! Completions whose client waits for what others say of the answer: `verification.mode` `quorum` and
//! `verify`. They are never answered from the cache.

use axum::body::Body;
use axum::response::Response;
use openapi::receipt::Verified;
use std::sync::{Arc, OnceLock};

use super::explained::{self, Explained, Told};
use super::{event, event_stream, failed, json, name_provider};
use crate::upstream::{self, Exchange, Head, Settled, Verdict};

/// The answer, and what is known of it when its head goes out.
pub(super) async fn answer(exchange: Exchange) -> (Response, Verified) {
    if exchange.is_stream() { streamed(exchange).await } else { whole(exchange).await }
}

async fn whole(mut exchange: Exchange) -> (Response, Verified) {
    match upstream::checked_whole(&mut exchange).await {
        Ok(Settled { body, provider, verification }) => {
            let verified = verification.verified;
            let verdict = Some(Arc::new(Verdict::from(verification)));
            let told = Told { explain: exchange.job().explain.clone(), verdict };
            let mut response = json(explained::whole(body, Some(&told)));
            let attempts = exchange.record.attempts();
            let head = Head { provider: Some(provider), attempts, is_hedged: false };
            name_provider(response.headers_mut(), head);
            (response, verified)
        }
        Err(error) => (failed(exchange, error), Verified::None),
    }
}

async fn streamed(exchange: Exchange) -> (Response, Verified) {
    let explain = exchange.job().explain.clone();
    let verdict: Arc<Verdict> = Arc::new(OnceLock::new());
    match upstream::checked_stream(exchange, event, verdict.clone()).await {
        Ok((head, body)) => {
            let verified = verdict.get().map_or(Verified::Pending, |verdict| verdict.verified);
            let told = Told { explain, verdict: Some(verdict) };
            let mut response = event_stream(Body::new(Explained::new(body, told)));
            name_provider(response.headers_mut(), head);
            (response, verified)
        }
        Err((exchange, error)) => (failed(exchange, error), Verified::None),
    }
}
