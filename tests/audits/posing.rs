//! An engine that answers with one model and says it is another.

use futures_util::future::BoxFuture;
use openapi::node::Feature;
use provider::counters::Counters;
use provider::engine::mistral::{Device, Dtype, Mistral, ModelSource, Options};
use provider::engine::{Answer, Engine, Error, Job, ModelInfo, score};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::task::TaskTracker;

#[derive(Debug)]
pub(crate) struct Posing {
    answers: Mistral,
    /// As whom.
    posed: ModelInfo,
}

pub(crate) fn models(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name)
}

pub(crate) async fn load(folder: &Path, dtype: Dtype, counters: &Arc<Counters>) -> Mistral {
    let options = Options {
        model: ModelSource::Folder(folder.to_owned()),
        id: "pip".to_owned(),
        device: Device::Cpu,
        dtype,
        max_concurrent: 1,
        matrix_bytes: 64 << 20,
    };
    Mistral::load(options, Arc::clone(counters), TaskTracker::new()).await.expect("loads")
}

// === impl Posing ===

impl Posing {
    pub(crate) fn new(answers: Mistral, posed: ModelInfo) -> Self {
        Self { answers, posed }
    }
}

impl Engine for Posing {
    fn models(&self) -> Vec<ModelInfo> {
        let mut posed = self.posed.clone();
        posed.features.retain(|feature| *feature != Feature::Score);
        vec![posed]
    }

    fn start(&self, job: Job) -> BoxFuture<'_, Result<Answer, Error>> {
        Box::pin(async move {
            let mut answer = self.answers.start(job).await?;
            if let Answer::Events(generation) = &mut answer
                && let Some(provenance) = &mut generation.provenance
            {
                let posed = self.posed.clone();
                provenance.weights_id = posed.weights_id.unwrap_or_default();
                provenance.quant = posed.quant.unwrap_or_default();
                provenance.kv_dtype = posed.kv_dtype.unwrap_or_default();
                provenance.engine = posed.engine.unwrap_or_default();
                provenance.template_sha256 = posed.template_sha256.unwrap_or_default();
            }
            Ok(answer)
        })
    }

    fn score(&self, job: score::Job) -> BoxFuture<'_, Result<score::Answer, Error>> {
        self.answers.score(job)
    }

    fn concurrency(&self) -> usize {
        self.answers.concurrency()
    }

    fn health(&self) -> Result<(), String> {
        self.answers.health()
    }
}
