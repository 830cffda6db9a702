//! One request to one provider, of the gateway's own accord: no client, no other provider, no relay.
//! What it may take is the caller's to bound; dropping it cancels.

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, header};
use std::future::poll_fn;
use std::sync::Arc;
use tokio::time::Instant;

use super::attempt::{Context, judge_head, send};
use super::endpoint::InFlight;
use super::error::Error;
use super::link::LinkBody;
use super::load::told;
use super::request::Job;
use super::vectors;
use crate::auth::Grant;
use crate::market::Offer;
use crate::request::policy::{Hedge, Urgency};
use crate::request::{Endpoint, Probe, Verification};
use crate::stream::Fallback;

/// A request as a client would write it, with any model's name.
#[derive(Debug)]
pub struct Own(Job);

/// An answer that began.
pub struct Call {
    body: LinkBody,
    in_flight: InFlight,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("endpoint", &self.in_flight).finish_non_exhaustive()
    }
}

impl Own {
    /// `id`: what the provider is told as the request's.
    ///
    /// # Errors
    /// A body that is no request.
    pub fn new(endpoint: Endpoint, body: Bytes, id: &str) -> Result<Self, Error> {
        let unusable = |what: String| Error::Stream(format!("the request is not usable: {what}"));
        let summary = match Probe::parse(&body, endpoint) {
            Ok(probe) => probe.into_summary(),
            Err(error) => return Err(unusable(error.to_string())),
        };
        let request_id = HeaderValue::from_str(id).map_err(|error| unusable(error.to_string()))?;
        Ok(Self(Job {
            endpoint,
            wanted: smallvec::SmallVec::new(),
            grant: Arc::new(Grant::open()),
            summary,
            urgency: Urgency::Normal,
            hedge: Hedge::Off,
            tenant: 0,
            explain: None,
            body,
            request_id,
            draw: 0,
            fallback: Fallback { id: id.into(), created: 0 },
            deadline: Instant::now(),
            verification: Verification::default(),
            keep: None,
            receipt: None,
            continuation: None,
        }))
    }
}

impl Call {
    /// Asks, up to the head of an answer that succeeds.
    ///
    /// # Errors
    /// As of an attempt.
    pub async fn open(context: &Context, offer: &Offer, own: &Own) -> Result<Self, Error> {
        let in_flight = offer.endpoint.begin();
        let response = send(context, &own.0, offer).await?;
        let (parts, body) = response.into_parts();
        if let Some(member) = offer.member() {
            let now_ms = context.time.now().run_ms;
            told(&parts.headers).into_iter().for_each(|load| member.loaded(load, now_ms));
        }
        let (parts, body) = judge_head(parts, body).await?;
        let wanted = match own.0.endpoint {
            Endpoint::ChatCompletions | Endpoint::Completions => "text/event-stream",
            Endpoint::Embeddings => "application/json",
        };
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case(wanted) {
            return Err(Error::NotAStream(format!("something else than {wanted}")));
        }
        Ok(Self { body, in_flight })
    }

    /// The next bytes of the answer; `None` at its end.
    pub async fn data(&mut self) -> Option<Result<Bytes, Error>> {
        poll_fn(|cx| self.body.poll_data(cx)).await
    }

    /// Reads the rest as a list of so many vectors; the tokens that the provider counted.
    ///
    /// # Errors
    /// It is none, or longer than `bytes_max`.
    pub async fn vectors(mut self, inputs: usize, bytes_max: usize) -> Result<u64, Error> {
        let mut read = BytesMut::new();
        while let Some(data) = self.data().await {
            let data = data?;
            if read.len() + data.len() > bytes_max {
                return Err(Error::Stream("the answer is too large".to_owned()));
            }
            read.extend_from_slice(&data);
        }
        let (_, progress) = vectors::answer(read.freeze(), "", inputs)?;
        Ok(progress.usage.map_or(0, |usage| usage.prompt_tokens))
    }
}
