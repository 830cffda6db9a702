//! What the attempts of one request share, and the HTTP request each of them sends.

use bytes::Bytes;
use fixedbitset::FixedBitSet;
use http::{HeaderName, HeaderValue, Method, Request, Version, header};
use http_body_util::Full;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

use super::attempt::Context;
use super::endpoint::Endpoint;
use super::explain::Explain;
use super::resume::{Continuation, goes_on};
use super::witness::Keep;
use crate::auth::Grant;
use crate::config;
use crate::market::{Model, Offer};
use crate::receipts::Sheet;
use crate::request::policy::{Hedge, Urgency};
use crate::request::{self, Policy, Rewrite, Summary, Verification};
use crate::stream::{Fallback, Limits, Plan, UsageMode};

const EVIDENCE: HeaderName = HeaderName::from_static(openapi::evidence::HEADER);
const NONCE: HeaderName = HeaderName::from_static(openapi::evidence::NONCE_HEADER);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A model that may answer, and who may serve it.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub model: Arc<Model>,
    /// Absent: anybody may.
    pub policy: Option<Arc<Policy>>,
    /// Of the model's offers those that may be asked, by their places; absent: all.
    pub among: Option<Arc<FixedBitSet>>,
}

/// One client request on its way through the attempts.
#[derive(Debug, Clone)]
pub struct Job {
    pub endpoint: request::Endpoint,
    /// What may answer, the first choice first; never empty.
    pub wanted: SmallVec<[Wanted; 1]>,
    /// Of the key that asks.
    pub grant: Arc<Grant>,
    pub summary: Summary,
    /// How it stands beside others that wait.
    pub urgency: Urgency,
    /// Whether a second provider may be asked when the first is late.
    pub hedge: Hedge,
    /// A hash of the key's name: who shares caches and habits.
    pub tenant: u64,
    /// Where the client asked how its provider was chosen.
    pub explain: Option<Arc<Explain>>,
    pub body: Bytes,
    pub request_id: HeaderValue,
    /// Random, and one for all of its attempts.
    pub draw: u64,
    /// What the answer is called where the provider gives it no name.
    pub fallback: Fallback,
    /// When the client's patience, or ours, ends.
    pub deadline: Instant,
    /// How sure of the answer the client wants to be.
    pub verification: Verification,
    /// Where the answer is put for who is to judge it.
    pub keep: Option<Keep>,
    /// What the client keeps of the answer, where it keeps anything.
    pub receipt: Option<Receipt>,
    /// What there is of the answer already, where another provider is to go on with it.
    pub continuation: Option<Continuation>,
}

/// A receipt to be.
#[derive(Debug, Clone)]
pub struct Receipt {
    pub id: Uuid,
    pub sheet: Arc<Sheet>,
}

impl Job {
    /// The seed that the gateway gives where the client gives none.
    pub(super) fn seed(&self, context: &Context, offer: &Offer) -> Option<i64> {
        goes_on(offer).then(|| context.seeds.of(&self.request_id, self.draw))
    }

    /// The request for `offer`: the client's bytes with as few splices as can be. Always streamed
    /// where it can be, as closing a stream is the only cancel that servers honour.
    pub(super) fn request(&self, context: &Context, offer: &Offer) -> Request<Full<Bytes>> {
        let stream = self.endpoint != request::Endpoint::Embeddings;
        let body = self.summary.upstream_body(
            &self.body,
            Rewrite {
                model: &offer.upstream_model,
                stream,
                seed: self.seed(context, offer),
                dialect: offer.endpoint.dialect,
                continuation: self.continuation.as_ref().map(Continuation::borrowed),
            },
        );
        let accept = if stream { "text/event-stream" } else { "application/json" };
        let endpoint: &Endpoint = &offer.endpoint;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = endpoint.uri(self.endpoint).clone();
        *request.version_mut() = match &endpoint.host_header {
            Some(_) => Version::HTTP_11,
            None => Version::HTTP_2,
        };
        let headers = request.headers_mut();
        headers.reserve(8);
        if let Some(host) = &endpoint.host_header {
            headers.insert(header::HOST, host.clone());
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        headers.insert(REQUEST_ID, self.request_id.clone());
        headers.insert(EVIDENCE, HeaderValue::from_static("1"));
        if offer.member().is_some()
            && let Ok(nonce) =
                HeaderValue::try_from(context.seeds.nonce(&self.request_id, self.draw))
        {
            headers.insert(NONCE, nonce);
        }
        if let Some(authorization) = &endpoint.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        request
    }

    /// Until a provider's head. An answer that is not streamed has its head when it is done.
    pub(super) fn head_limit(&self, limits: &config::Limits) -> Duration {
        match self.endpoint {
            request::Endpoint::ChatCompletions | request::Endpoint::Completions => limits.head,
            request::Endpoint::Embeddings => limits.head.saturating_add(limits.first_content),
        }
    }

    /// Providers that may be asked beside others.
    pub(super) fn hedges_max(&self) -> u32 {
        let wanted = match (self.hedge, self.urgency) {
            (Hedge::Off, _) => 0,
            (Hedge::Priority, _) | (Hedge::Auto, Urgency::High) => 2,
            (Hedge::Auto, Urgency::Normal | Urgency::Low) => 1,
        };
        // What is made several times over is dear, and vectors have no first token.
        let is_single = self.summary.choices <= 1;
        let may = is_single && self.endpoint != request::Endpoint::Embeddings;
        let key_max = self.grant.account.rules.hedges_max.unwrap_or(u32::MAX);
        if may { wanted.min(key_max) } else { 0 }
    }

    /// What the client of this request must see of an attempt.
    pub(super) fn plan(&self, context: &Context, model: &Model) -> Plan {
        Plan {
            model: model.id.clone(),
            identity: None,
            fallback: self.fallback.clone(),
            usage: if self.summary.include_usage { UsageMode::Pass } else { UsageMode::Strip },
            evidence: true,
            limits: Limits {
                event_bytes_max: context.limits.event_bytes,
                answer_bytes_max: usize::try_from(context.limits.answer_bytes)
                    .unwrap_or(usize::MAX),
                ..Limits::default()
            },
            choices: self.summary.choices,
        }
    }
}
