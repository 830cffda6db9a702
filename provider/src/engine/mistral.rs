//! The engine that runs models with mistral.rs. Only token ids go in; what comes out is decided by
//! our sampler inside its logits processor, and mistral.rs' own text is not read. Conversions to its
//! types stay in this module.
//!
//! mistral.rs 0.8.1 asks for care, and this module is where it is taken: on the CPU one sequence at
//! a time (batched attention mixes rows) and no prefix cache (it is never evicted there); requests
//! always stream, into a channel that holds the whole answer, and are drained to the end, so that
//! nothing drops a receiver it unwraps; answers end by a forced end token, never by an error.

mod embedder;
mod job;
mod load;
mod processor;
mod runner;
mod score;
mod source;

pub use embedder::Embedder;
pub use load::LoadError;
pub use source::ModelSource;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use openapi::evidence::Provenance;
use openapi::gumbel;
use openapi::usage::Usage;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::{Answer, Engine, Error, Event, Generation, Job, ModelInfo};
use crate::counters::Counters;
use crate::decode::{Decode, Events};
use crate::model::{Model, Prepared};
use load::first_line;
use runner::Runner;

/// Where the model runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Device {
    /// The GPU the binary is built for, where there is one.
    #[default]
    Auto,
    Cpu,
}

/// The precision of weights and arithmetic. Files in GGUF bring their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dtype {
    /// f32 on the CPU; what the GPU does best elsewhere.
    #[default]
    Auto,
    F32,
    F16,
    /// Refused on the CPU: mistral.rs 0.8.1 loads it and then fails every request.
    Bf16,
}

#[derive(Debug, Clone)]
pub struct Options {
    pub model: ModelSource,
    /// The name requests ask for.
    pub id: String,
    pub device: Device,
    pub dtype: Dtype,
    /// Answers at once on a GPU, 1 to 1024. The CPU makes one at a time, whatever stands here.
    pub max_concurrent: usize,
    /// Bytes of a matrix of logits when an answer is scored in one pass.
    pub matrix_bytes: usize,
}

/// A loaded model. Dropping it ends its engine thread.
#[derive(Debug)]
pub struct Mistral {
    inner: Arc<Inner>,
}

struct Inner {
    info: ModelInfo,
    model: Arc<Model>,
    runner: Runner,
    /// One permit an answer; on the CPU there is one.
    permits: Arc<Semaphore>,
    /// One permit a request that is tokenised, with its grammar compiled.
    preparing: Arc<Semaphore>,
    concurrency: usize,
    kv_dtype: String,
    matrix_bytes: usize,
    counters: Arc<Counters>,
    tracker: TaskTracker,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("info", &self.info)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

// === impl Mistral ===

impl Mistral {
    /// Loads the model: seconds to minutes. Tasks of this engine are spawned on `tracker`, so that a
    /// drain can wait for them.
    pub async fn load(
        options: Options,
        counters: Arc<Counters>,
        tracker: TaskTracker,
    ) -> Result<Self, LoadError> {
        let inner = load::load(options, counters, tracker).await?;
        Ok(Self { inner: Arc::new(inner) })
    }

    async fn begin(&self, job: Job) -> Result<Answer, Error> {
        let inner = &self.inner;
        if job.model != inner.info.id {
            return Err(Error::UnknownModel(job.model));
        }
        let model = Arc::clone(&inner.model);
        let (evidence, seed, resume) = (job.evidence, job.sampling.seed, job.resume.clone());
        let place = Arc::clone(&inner.preparing).acquire_owned().await;
        let counters = Arc::clone(&inner.counters);
        let own = Arc::clone(inner);
        let prepared = inner.tracker.spawn_blocking(move || {
            // Kept to the end even where the caller has left: nothing can break this work off.
            let _place = place;
            let prepared = model.prepare(&job)?;
            let provenance = evidence.then(|| Box::new(own.provenance(&prepared, seed)));
            let (mut decode, mut ids, events) = Decode::new(&model, prepared, &job, counters);
            let prompt_tokens = u32::try_from(ids.len()).unwrap_or(u32::MAX);
            if let Some(resume) = resume {
                decode.resume(&resume)?;
                ids.extend(resume.ids);
            }
            Ok((decode, ids, Generation { prompt_tokens, provenance, events: until_end(events) }))
        });
        let prepared = prepared.await.map_err(|error| {
            // A panic of a library over this request's grammar or text; the engine never saw it.
            Error::Internal(format!("preparing the request failed: {error}"))
        });
        let (decode, ids, generation) = prepared??;
        let job = job::run(Arc::clone(inner), decode, ids);
        drop(inner.tracker.spawn(job));
        Ok(Answer::Events(generation))
    }
}

impl Engine for Mistral {
    fn models(&self) -> Vec<ModelInfo> {
        vec![self.inner.info.clone()]
    }

    /// Answers as soon as the job is known to be good; it may still wait for its turn, and dropping
    /// the answer ends it there as well.
    fn start(&self, job: Job) -> BoxFuture<'_, Result<Answer, Error>> {
        Box::pin(self.begin(job))
    }

    fn score(&self, job: super::score::Job) -> BoxFuture<'_, Result<super::score::Answer, Error>> {
        Box::pin(score::score(&self.inner, job))
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
    fn provenance(&self, prepared: &Prepared, seed: u64) -> Provenance {
        let template = self.model.template.as_ref();
        Provenance {
            weights_id: self.info.weights_id.clone().unwrap_or_default(),
            quant: self.info.quant.clone().unwrap_or_default(),
            kv_dtype: self.kv_dtype.clone(),
            engine: load::ENGINE.to_owned(),
            template_sha256: template.map_or("", |template| template.sha256()).to_owned(),
            sampler: gumbel::NAME.to_owned(),
            seed,
            prompt_ids_sha256: prepared.ids_sha256(),
            resumed: 0,
            usage: Usage::default(),
            commit: None,
            sig: None,
        }
    }
}

/// Ends behind the last event; dropping it before is what cancels the answer.
fn until_end(events: Events) -> stream::BoxStream<'static, Result<Event, Error>> {
    stream::unfold(Some(events), |events| async {
        let mut events = events?;
        let event = events.recv().await?;
        let last = matches!(event, Ok(Event::Finish { .. }) | Err(_));
        Some((event, (!last).then_some(events)))
    })
    .boxed()
}

fn stopped() -> Error {
    Error::Unavailable("the engine stopped; try again".to_owned())
}

fn failed(message: &str) -> Error {
    Error::Internal(format!("mistral.rs: {}", first_line(message)))
}

#[cfg(test)]
mod tests;
