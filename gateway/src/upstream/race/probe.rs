//! Whether one that failed before answers again: the same request, sent there beside the one that the
//! client waits for, and read up to its first content. It never answers the client, so nobody is risked,
//! and no winner cuts it short: a provider that were slower than the others would never be heard out. The
//! only attempt with a task of its own; there is at most one for each of a provider's pauses.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use std::sync::Arc;
use std::time::Duration;

use crate::market::{Model, Offer};
use crate::request::Endpoint;
use crate::stream::{Plan, Relay};
use crate::upstream::attempt::{self, Context, Try, note};
use crate::upstream::error::{Error, Phase};
use crate::upstream::opened::Saying;
use crate::upstream::request::Job;
use crate::upstream::tally::Tally;

pub(super) struct Probe {
    context: Arc<Context>,
    model: Arc<Model>,
    offer: Arc<Offer>,
    request: Request<Full<Bytes>>,
    plan: Plan,
    tally: Tally,
    /// Vectors come whole; their head is enough.
    is_streamed: bool,
}

// === impl Probe ===

impl Probe {
    pub(super) fn new(
        context: &Arc<Context>,
        job: &Job,
        (model, offer): (&Arc<Model>, &Arc<Offer>),
        tally: Tally,
    ) -> Self {
        Self {
            context: context.clone(),
            request: job.request(context, offer),
            plan: job.plan(context, model),
            is_streamed: job.endpoint != Endpoint::Embeddings,
            model: model.clone(),
            offer: offer.clone(),
            tally,
        }
    }

    /// Goes, for at most so long.
    pub(super) fn spawn(self, patience: Duration) {
        let shutdown = self.context.shutdown.clone();
        self.context.shutdown.clone().spawn(async move {
            tokio::select! {
                () = shutdown.draining() => {}
                () = self.run(patience) => {}
            }
        });
    }

    async fn run(self, patience: Duration) {
        let Self { context, model, offer, request, plan, mut tally, is_streamed } = self;
        let in_flight = offer.endpoint.begin();
        let head = async {
            let response = attempt::send_request(&context, &offer, request).await?;
            let (parts, body) = response.into_parts();
            attempt::judge_head(parts, body).await
        };
        let head = tokio::time::timeout(patience, head).await;
        let error = match head.unwrap_or(Err(Error::Timeout(Phase::Head))) {
            Ok(head) => {
                let mut attempt = Try::new((&offer, &model), head, tally, in_flight);
                let mut said = Saying::new(Relay::new(plan), context.limits.event_bytes);
                match said.open(&mut attempt, patience).await {
                    Err(error) if is_streamed => error,
                    _ => return attempt.proven(),
                }
            }
            Err(error) => tally.failed(error),
        };
        note(&offer.endpoint, offer.member(), &error);
    }
}
