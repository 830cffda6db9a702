//! Several engines as one, told apart by the model that is asked for. None of them may pass requests
//! on as they came: what is checked is checked for all.

use super::{Answer, Engine, Error, Job, ModelInfo};
use super::{embed, score};
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

    fn score(&self, job: score::Job) -> BoxFuture<'_, Result<score::Answer, Error>> {
        match self.of(&job.job.model) {
            Ok(engine) => engine.score(job),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    /// As many as one of them, all together: they share one machine.
    fn concurrency(&self) -> usize {
        self.engines.iter().map(|engine| engine.concurrency()).max().unwrap_or(1)
    }

    fn health(&self) -> Result<(), String> {
        self.engines.iter().try_for_each(|engine| engine.health())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Counters;
    use crate::engine::RawRequest;
    use crate::engine::embed::Input;
    use crate::engine::scripted::{Options, Scripted};

    #[tokio::test]
    async fn each_job_goes_to_the_engine_of_its_model() {
        let counters = [Arc::new(Counters::default()), Arc::new(Counters::default())];
        let engine = |name: &str, counters: &Arc<Counters>| -> Arc<dyn Engine> {
            let models = vec![name.to_owned()];
            let options = Options { models, max_concurrent: 3, ..Options::default() };
            Arc::new(Scripted::new(options, Arc::clone(counters)))
        };
        let both = Several::new(vec![engine("a", &counters[0]), engine("b", &counters[1])]);
        let names: Vec<String> = both.models().into_iter().map(|model| model.id).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!((both.concurrency(), both.health()), (3, Ok(())));
        let job = |model: &str| embed::Job {
            request_id: "r".into(),
            model: model.into(),
            inputs: vec![Input::Text("hello".into())],
            is_list: false,
            dimensions: None,
            raw: RawRequest::default(),
        };
        assert!(matches!(both.embed(job("b")).await, Ok(embed::Answer::Vectors(_))));
        assert_eq!(counters.map(|counters| counters.jobs_finished()), [0, 1]);
        let nobody = both.embed(job("c")).await;
        assert!(matches!(nobody, Err(Error::UnknownModel(model)) if model == "c"));
    }
}
