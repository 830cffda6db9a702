//! Runs embedding models with mistral.rs. Ids go in, one input at a time on the CPU; rows come out,
//! and are cut and scaled here. What is in the engine is read to its end whoever leaves: mistral.rs
//! dies of a closed channel.

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt, stream};
use mistralrs::{Constraint, NormalRequest, Request, RequestMessage, Response, SamplingParams};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;

use super::load::{self, LoadError};
use super::runner::{Runner, Submission};
use super::{Options, failed, stopped};
use crate::counters::Counters;
use crate::engine::embed::{self, Vectors, unit};
use crate::engine::tally::Tally;
use crate::engine::{Answer, Engine, Error, Job, ModelInfo};
use crate::model::encoder::Encoder;

/// A loaded embedding model. Dropping it ends its engine thread.
#[derive(Debug)]
pub struct Embedder {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) info: ModelInfo,
    pub(super) encoder: Encoder,
    pub(super) runner: Runner,
    /// One permit an input; on the CPU there is one.
    pub(super) permits: Arc<Semaphore>,
    /// One permit a request that is tokenised.
    pub(super) preparing: Arc<Semaphore>,
    pub(super) concurrency: usize,
    pub(super) counters: Arc<Counters>,
    pub(super) tracker: TaskTracker,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("info", &self.info)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

// === impl Embedder ===

impl Embedder {
    /// Loads the model: seconds to minutes. Tasks of this engine are spawned on `tracker`, so that a
    /// drain can wait for them.
    pub async fn load(
        options: Options,
        counters: Arc<Counters>,
        tracker: TaskTracker,
    ) -> Result<Self, LoadError> {
        let inner = load::embedder(options, counters, tracker).await?;
        Ok(Self { inner: Arc::new(inner) })
    }

    async fn run(&self, job: embed::Job) -> Result<embed::Answer, Error> {
        let inner = &self.inner;
        if job.model != inner.info.id {
            return Err(Error::UnknownModel(job.model));
        }
        let dimensions = job.dimensions;
        let place = Arc::clone(&inner.preparing).acquire_owned().await;
        let encoded = {
            let inner = Arc::clone(inner);
            self.inner.tracker.spawn_blocking(move || {
                // Kept to the end even where the caller has left: nothing can break this work off.
                let _place = place;
                inner.encoder.encode(&job)
            })
        };
        let encoded = encoded.await.map_err(|error| {
            // A panic of a library over this request's text; the engine never saw it.
            Error::Internal(format!("preparing the request failed: {error}"))
        })??;
        let mut tally = Tally::start(&inner.counters);
        let rows = stream::iter(encoded.inputs).map(|ids| inner.row(ids));
        let rows =
            rows.buffered(inner.concurrency).and_then(|row| async move { unit(row, dimensions) });
        let made: Result<Vec<_>, Error> = rows.try_collect().await;
        match made {
            Ok(vectors) => {
                tally.finish();
                Ok(embed::Answer::Vectors(Vectors { vectors, prompt_tokens: encoded.tokens }))
            }
            Err(error) => {
                tally.fail();
                Err(error)
            }
        }
    }
}

impl Engine for Embedder {
    fn models(&self) -> Vec<ModelInfo> {
        vec![self.inner.info.clone()]
    }

    fn start(&self, job: Job) -> BoxFuture<'_, Result<Answer, Error>> {
        let message = format!("The model `{}` makes embeddings and nothing else.", job.model);
        let refused = Error::Invalid {
            message,
            param: Some("model".to_owned()),
            code: Some("unsupported_operation"),
        };
        Box::pin(std::future::ready(Err(refused)))
    }

    fn embed(&self, job: embed::Job) -> BoxFuture<'_, Result<embed::Answer, Error>> {
        Box::pin(self.run(job))
    }

    fn concurrency(&self) -> usize {
        self.inner.concurrency
    }

    fn health(&self) -> Result<(), String> {
        self.inner.runner.health()
    }
}

// === impl Inner ===

impl Inner {
    /// One input's row, once it is its turn. Dropped before, it never runs; dropped later, it runs
    /// to its end unread.
    async fn row(self: &Arc<Self>, ids: Vec<u32>) -> Result<Vec<f32>, Error> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let inner = Arc::clone(self);
        let run = self.tracker.spawn(async move {
            let _permit = permit;
            inner.ask(&ids).await
        });
        run.await.map_err(|error| Error::Internal(error.to_string()))?
    }

    async fn ask(&self, ids: &[u32]) -> Result<Vec<f32>, Error> {
        let Some(mut responses) = self.runner.submit(|| self.request(ids)).await else {
            return Err(stopped());
        };
        let mut row = None;
        while let Some(response) = responses.recv().await {
            let answer = match response {
                Response::Embeddings { embeddings, .. } => Ok(embeddings),
                Response::ValidationError(error) | Response::InternalError(error) => {
                    Err(failed(&error.to_string()))
                }
                Response::ModelError(message, _) | Response::CompletionModelError(message, _) => {
                    Err(failed(&message))
                }
                _ => continue,
            };
            row.get_or_insert(answer);
        }
        if row.is_none() {
            self.runner.died();
            self.runner.restart().await;
        }
        row.unwrap_or_else(|| Err(stopped()))
    }

    fn request(&self, ids: &[u32]) -> Submission {
        // One message; a second place keeps a surprise from stopping the engine.
        let (response, responses) = mpsc::channel(2);
        let request = NormalRequest {
            id: self.runner.inner().next_request_id(),
            messages: RequestMessage::EmbeddingTokens { prompt: ids.to_vec() },
            sampling_params: SamplingParams::neutral(),
            response,
            return_logprobs: false,
            is_streaming: false,
            constraint: Constraint::None,
            suffix: None,
            tools: None,
            tool_choice: None,
            logits_processors: None,
            return_raw_logits: false,
            web_search_options: None,
            model_id: None,
            truncate_sequence: false,
        };
        (Request::Normal(Box::new(request)), responses)
    }
}
