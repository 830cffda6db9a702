//! Several engines as one, told apart by the model that is asked for. None of them may pass requests
//! on as they came: what is checked is checked for all.

use super::embed;
use super::{Answer, Engine, Error, Job, ModelInfo};
use futures_util::future::BoxFuture;
use std::sync::Arc;

#[derive(Debug)]
pub struct Several {
    engines: Vec<Arc<dyn Engine>>,
}

// === impl Several ===

impl Several {
    pub fn new(engines: Vec<Arc<dyn Engine>>) -> Self {
        Self { engines }
    }

    fn of(&self, model: &str) -> Result<&Arc<dyn Engine>, Error> {
        let serves = |engine: &&Arc<dyn Engine>| engine.models().iter().any(|m| m.id == model);
        self.engines.iter().find(serves).ok_or_else(|| Error::UnknownModel(model.to_owned()))
    }
}

impl Engine for Several {
    fn models(&self) -> Vec<ModelInfo> {
        self.engines.iter().flat_map(|engine| engine.models()).collect()
    }

    fn start(&self, job: Job) -> BoxFuture<'_, Result<Answer, Error>> {
        match self.of(&job.model) {
            Ok(engine) => engine.start(job),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn embed(&self, job: embed::Job) -> BoxFuture<'_, Result<embed::Answer, Error>> {
        match self.of(&job.model) {
            Ok(engine) => engine.embed(job),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    /// Together: each engine holds back what is more than its own.
    fn concurrency(&self) -> usize {
        self.engines.iter().map(|engine| engine.concurrency()).sum()
    }

    fn health(&self) -> Result<(), String> {
        self.engines.iter().try_for_each(|engine| engine.health())
    }
}
