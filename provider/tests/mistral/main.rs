//! The mistral.rs engine with the bundled model: whole answers, through the seam an HTTP server uses.
#![cfg(feature = "mistralrs")]

mod answers;
mod ends;
mod grammars;
mod memory;
mod refusals;
mod tools;

use futures_util::StreamExt;
use openapi::chat::{FinishReason, TokenLogprob};
use openapi::evidence::Provenance;
use openapi::usage::Usage;
use provider::counters::Counters;
use provider::engine::mistral::{Device, Dtype, Mistral, ModelSource, Options};
use provider::engine::{Answer, Engine, Error, Event, Generation, Job, Prompt, RawRequest};
use provider::engine::{Sampling, ToolUse};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

const END: u32 = 1535;

struct Bench {
    engine: Mistral,
    counters: Arc<Counters>,
    tracker: TaskTracker,
}

fn model() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/pip"))
}

async fn bench() -> Bench {
    let (counters, tracker) = (Arc::new(Counters::default()), TaskTracker::new());
    let options = Options {
        model: ModelSource::Folder(model()),
        id: "pip".into(),
        device: Device::Cpu,
        dtype: Dtype::Auto,
        max_concurrent: 8,
    };
    let engine = Mistral::load(options, Arc::clone(&counters), tracker.clone()).await.unwrap();
    Bench { engine, counters, tracker }
}

/// A chat at temperature 0 with these members besides the model.
fn chat(mut body: Value) -> Job {
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
        raw: RawRequest::default(),
    }
}

fn ask(text: &str) -> Job {
    chat(json!({"messages": [{"role": "user", "content": text}]}))
}

fn warm(mut job: Job, temperature: f64, seed: u64) -> Job {
    job.sampling.temperature = temperature;
    job.sampling.seed = seed;
    job
}

/// Never ends by itself.
fn endless(mut job: Job) -> Job {
    job.sampling.logit_bias = BTreeMap::from([(END, -100.0), (1533, -100.0)]);
    job.max_tokens = None;
    job
}

#[derive(Debug, Clone, PartialEq)]
struct Read {
    content: String,
    reasoning: String,
    calls: Vec<(String, String)>,
    reason: FinishReason,
    usage: Usage,
    ids: Vec<u32>,
    logprobs: Vec<TokenLogprob>,
    deltas: usize,
    provenance: Option<Provenance>,
}

impl Bench {
    async fn start(&self, job: Job) -> Result<Generation, Error> {
        match self.engine.start(job).await? {
            Answer::Events(generation) => Ok(generation),
            Answer::Relay(_) => panic!("a relay"),
        }
    }

    async fn read(&self, job: Job) -> Result<Read, Error> {
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
                Event::Finish { reason, usage, ids } => {
                    (read.reason, read.usage) = (reason, usage);
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

    async fn text(&self, job: Job) -> String {
        self.read(job).await.unwrap().content
    }

    /// The engine still answers, and answers the same.
    async fn assert_alive(&self) {
        assert_eq!(self.text(ask("What is 7 plus 5?")).await, "7 plus 5 is 12.");
        assert_eq!(self.engine.health(), Ok(()));
    }

    /// Waits until the engine is rid of every job.
    async fn settled(&self) {
        self.tracker.close();
        self.tracker.wait().await;
        self.tracker.reopen();
    }
}
