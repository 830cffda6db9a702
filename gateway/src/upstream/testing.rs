//! For benches: the choice of a provider alone, as each attempt makes it.

use bytes::Bytes;
use http::HeaderValue;
use smallvec::SmallVec;
use std::sync::Arc;
use tokio::time::Instant;

use super::attempt::Context;
use super::error::Error;
use super::request::{Job, Wanted};
use super::slate::{Slate, tenant};
use crate::auth::Grant;
use crate::market::Model;
use crate::request::policy::{Hedge, Urgency};
use crate::request::{Endpoint, Policy, Probe, Verification};
use crate::route::choice::UTILISATION_MAX;
use crate::stream::Fallback;

/// A request and the model it is for.
#[derive(Debug)]
pub struct Request {
    job: Job,
    wanted: Wanted,
}

impl Request {
    /// # Errors
    /// A body that is no chat request.
    pub fn new(
        model: Arc<Model>,
        policy: Option<Policy>,
        key_name: &str,
        body: Bytes,
    ) -> Result<Self, crate::request::Error> {
        let summary = Probe::parse(&body, Endpoint::ChatCompletions)?.into_summary();
        let job = Job {
            endpoint: Endpoint::ChatCompletions,
            wanted: SmallVec::new(),
            grant: Arc::new(Grant::open()),
            summary,
            urgency: Urgency::Normal,
            hedge: Hedge::Off,
            tenant: tenant(key_name),
            explain: None,
            body,
            request_id: HeaderValue::from_static("bench"),
            draw: 0,
            fallback: Fallback { id: "bench".into(), created: 0 },
            deadline: Instant::now(),
            verification: Verification::default(),
            keep: None,
            receipt: None,
            continuation: None,
        };
        let wanted = Wanted { model, policy: policy.map(Arc::new), among: None };
        Ok(Self { job, wanted })
    }

    /// What is found out once a request; the function chooses.
    ///
    /// # Errors
    /// Nobody may serve it.
    pub fn prepare<'a>(
        &'a self,
        context: &'a Context,
    ) -> Result<impl Fn() -> Option<usize> + 'a, Error> {
        let slate = Slate::new(context, &self.wanted, &self.job)?;
        Ok(move || slate.pick(context, &[], UTILISATION_MAX, &|_| true).best.map(|best| best.place))
    }
}
