//! The engine with the bundled model, and how its answers are read.

pub(crate) use futures_util::StreamExt;
pub(crate) use openapi::chat::{FinishReason, TokenLogprob};
pub(crate) use openapi::commit::Claim;
pub(crate) use openapi::evidence::Provenance;
pub(crate) use openapi::usage::Usage;
pub(crate) use provider::counters::Counters;
pub(crate) use provider::engine::mistral::{Device, Dtype, Mistral, ModelSource, Options};
pub(crate) use provider::engine::{
    Answer, Engine, Error, Event, Generation, Job, Prompt, RawRequest,
};
pub(crate) use provider::engine::{Sampling, ToolUse};
pub(crate) use serde_json::{Value, json};
pub(crate) use std::collections::BTreeMap;
pub(crate) use std::path::PathBuf;
pub(crate) use std::sync::Arc;
pub(crate) use tokio_util::task::TaskTracker;

pub(crate) const END: u32 = 1535;

pub(crate) struct Bench {
    pub(crate) engine: Mistral,
    pub(crate) counters: Arc<Counters>,
    pub(crate) tracker: TaskTracker,
}

pub(crate) fn model() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/pip"))
}

pub(crate) async fn bench() -> Bench {
    bench_of(ModelSource::Folder(model()), Dtype::Auto).await
}

pub(crate) async fn bench_of(model: ModelSource, dtype: Dtype) -> Bench {
    bench_with(model, dtype, 64 << 20).await
}

pub(crate) async fn bench_with(model: ModelSource, dtype: Dtype, matrix_bytes: usize) -> Bench {
    let (counters, tracker) = (Arc::new(Counters::default()), TaskTracker::new());
    let options = Options {
        model,
        id: "pip".into(),
        device: Device::Cpu,
        dtype,
        max_concurrent: 8,
        matrix_bytes,
    };
    let engine = Mistral::load(options, Arc::clone(&counters), tracker.clone()).await.unwrap();
    Bench { engine, counters, tracker }
}

/// A chat at temperature 0 with these members besides the model.
pub(crate) fn chat(mut body: Value) -> Job {
    body["model"] = "pip".into();
    Job {
        request_id: "test".into(),
        model: "pip".into(),
        prompt: Prompt::Chat(Arc::new(serde_json::from_value(body).unwrap())),
        sampling: Sampling {
            seed: 0,
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            repetition_penalty: 1.0,
            logit_bias: BTreeMap::new(),
        },
        max_tokens: Some(200),
        stop: vec![],
        constraint: None,
        tool_use: ToolUse::Off,
        logprobs: None,
        evidence: false,
        choice: 0,
        resume: None,
        raw: RawRequest::default(),
    }
}

pub(crate) fn ask(text: &str) -> Job {
    chat(json!({"messages": [{"role": "user", "content": text}]}))
}

pub(crate) fn warm(mut job: Job, temperature: f64, seed: u64) -> Job {
    job.sampling.temperature = temperature;
    job.sampling.seed = seed;
    job
}

/// Never ends by itself.
pub(crate) fn endless(mut job: Job) -> Job {
    job.sampling.logit_bias = BTreeMap::from([(END, -100.0), (1533, -100.0)]);
    job.max_tokens = None;
    job
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Read {
    pub(crate) content: String,
    pub(crate) reasoning: String,
    pub(crate) calls: Vec<(String, String)>,
    pub(crate) reason: FinishReason,
    pub(crate) usage: Usage,
    pub(crate) ids: Vec<u32>,
    pub(crate) logprobs: Vec<TokenLogprob>,
    pub(crate) deltas: usize,
    pub(crate) provenance: Option<Box<Provenance>>,
    pub(crate) claims: Vec<Claim>,
}

impl Bench {
    pub(crate) async fn start(&self, job: Job) -> Result<Generation, Error> {
        match self.engine.start(job).await? {
            Answer::Events(generation) => Ok(generation),
            Answer::Relay(_) => panic!("a relay"),
        }
    }

    pub(crate) async fn read(&self, job: Job) -> Result<Read, Error> {
        let mut generation = self.start(job).await?;
        let mut read = Read {
            content: String::new(),
            reasoning: String::new(),
            calls: vec![],
            reason: FinishReason::ContentFilter,
            usage: Usage::default(),
            ids: vec![],
            logprobs: vec![],
            deltas: 0,
            provenance: generation.provenance.take(),
            claims: vec![],
        };
        while let Some(event) = generation.events.next().await {
            match event? {
                Event::Delta(delta) => {
                    read.deltas += 1;
                    read.content.extend(delta.content);
                    read.reasoning.extend(delta.reasoning);
                    read.ids.extend(delta.ids);
                    read.logprobs.extend(delta.logprobs);
                    if let Some(function) = delta.tool_call.and_then(|call| call.function) {
                        read.calls.push((function.name.unwrap(), function.arguments.unwrap()));
                    }
                }
                Event::Finish { reason, usage, ids, claims } => {
                    (read.reason, read.usage, read.claims) = (reason, usage, claims);
                    read.ids.extend(ids);
                    assert!(generation.events.next().await.is_none());
                    assert_eq!(usage.prompt_tokens, u64::from(generation.prompt_tokens));
                    return Ok(read);
                }
                Event::Raw(_) => panic!("raw bytes"),
            }
        }
        panic!("no finish after {read:?}");
    }

    pub(crate) async fn text(&self, job: Job) -> String {
        self.read(job).await.unwrap().content
    }

    /// The engine still answers, and answers the same.
    pub(crate) async fn assert_alive(&self) {
        assert_eq!(self.text(ask("What is 7 plus 5?")).await, "7 plus 5 is 12.");
        assert_eq!(self.engine.health(), Ok(()));
    }

    /// Waits until the engine is rid of every job.
    pub(crate) async fn settled(&self) {
        self.tracker.close();
        self.tracker.wait().await;
        self.tracker.reopen();
    }
}
