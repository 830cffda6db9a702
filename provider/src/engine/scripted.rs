//! Plays scripts: deterministic tokens with delays and faults. What tests, benches and load tests put
//! in a model's place, behind the same server code. It never pretends to be a model of its own accord.
//!
//! A script comes from the configuration; the request's member `script` (an object) overrides single
//! members of it; a `sequence` gives each request its own, and `flap` breaks the engine now and then.
//! Plain scripts give events, as any engine does. Scripts that misbehave on the wire
//! (see [`Script::is_quirky`]) write their own bytes, one choice only.

mod embed;
mod evidence;
mod plan;
mod play;
mod resume;
mod script;
mod wire;

pub use script::{EvidenceFault, Flap, Script, ScriptError, ToolCall, UsageMode};

use script::ENGINES_OWN;

use super::tally::Tally;
use super::{Answer, Engine, Error, Generation, Job, ModelInfo, Prompt, Relayed};
use crate::counters::Counters;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use openapi::evidence::Provenance;
use openapi::node::Feature;
use openapi::usage::Usage;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// How a scripted engine is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Ids of the models it serves, all alike.
    pub models: Vec<String>,
    /// Unix seconds, for the model list.
    pub created: i64,
    pub max_concurrent: usize,
    pub script: Script,
    /// What it says its weights are; `None`: [`weights_id`].
    pub weights_id: Option<String>,
}

/// Of every scripted model that says nothing else.
pub fn weights_id() -> String {
    format!("b3:{}", blake3::hash(b"scripted").to_hex())
}

const ENGINE: &str = concat!("scripted/", env!("CARGO_PKG_VERSION"));
/// All it can play.
const FEATURES: [Feature; 8] = [
    Feature::Chat,
    Feature::Completions,
    Feature::Embeddings,
    Feature::Tools,
    Feature::JsonSchema,
    Feature::Logprobs,
    Feature::Evidence,
    Feature::Resume,
];

impl Default for Options {
    fn default() -> Self {
        Self {
            models: vec!["scripted".to_owned()],
            created: 0,
            max_concurrent: 1024,
            script: Script::default(),
            weights_id: None,
        }
    }
}

#[derive(Debug)]
pub struct Scripted {
    options: Options,
    counters: Arc<Counters>,
    /// Requests so far.
    seen: AtomicU64,
    born: Instant,
}

impl Scripted {
    pub fn new(options: Options, counters: Arc<Counters>) -> Self {
        Self { options, counters, seen: AtomicU64::new(0), born: Instant::now() }
    }

    async fn play(&self, job: Job) -> Result<Answer, Error> {
        let script = self.script(script_member(&job))?;
        let mut tally = Tally::start(&self.counters);
        tokio::time::sleep(Duration::from_millis(script.head_ms)).await;
        if script.reset_before_head {
            tally.fail();
            return Err(Error::Abort);
        }
        if let Some(status) = script.status {
            tally.fail();
            return foreign(status, &script).map(Answer::Relay);
        }
        let plan = self.plan(&script, &job).inspect_err(|_| tally.fail())?;
        if script.is_quirky() {
            return Ok(wire::answer(script, &job, plan, tally, self.options.created));
        }
        Ok(Answer::Events(Generation {
            prompt_tokens: plan.prompt_tokens,
            provenance: self.told(&script, &job),
            events: play::events(plan.steps, tally),
        }))
    }

    fn plan(&self, script: &Script, job: &Job) -> Result<plan::Plan, Error> {
        let theirs = job.resume.as_ref().and_then(|resume| resume.prompt_ids_sha256.as_ref());
        if theirs.is_some_and(|theirs| *theirs != prompt_sha256(job)) {
            return Err(resume::mismatch("its prompt"));
        }
        plan::Plan::new(script, job)
    }

    /// The engine's script, with what a request's own (`member`) changes in it.
    fn script(&self, member: Option<Value>) -> Result<Script, Error> {
        let invalid = |error: ScriptError| Error::Invalid {
            message: error.to_string(),
            param: Some("script".to_owned()),
            code: None,
        };
        let number = self.seen.fetch_add(1, Relaxed);
        let own = self.options.script.of_request(number, self.born.elapsed()).map_err(invalid)?;
        match member {
            None => Ok(own),
            Some(Value::Object(members)) => {
                if let Some(name) = ENGINES_OWN.iter().find(|name| members.contains_key(**name)) {
                    let what = format!("`script.{name}` is the engine's, not a request's");
                    return Err(invalid(ScriptError(what)));
                }
                own.overridden(&members).map_err(invalid)
            }
            Some(_) => Err(invalid(ScriptError("`script` must be an object".to_owned()))),
        }
    }

    fn weights_id(&self) -> String {
        self.options.weights_id.clone().unwrap_or_else(weights_id)
    }

    fn told(&self, script: &Script, job: &Job) -> Option<Box<Provenance>> {
        let provenance = job.evidence.then(|| self.provenance(job))?;
        evidence::provenance(script.evidence, provenance).map(Box::new)
    }

    fn provenance(&self, job: &Job) -> Provenance {
        Provenance {
            weights_id: self.weights_id(),
            quant: "none".to_owned(),
            kv_dtype: "none".to_owned(),
            engine: ENGINE.to_owned(),
            template_sha256: hex::encode(Sha256::digest(b"")),
            // Nodes that go on with each other's answers draw alike, which is all that the name promises.
            sampler: openapi::gumbel::NAME.to_owned(),
            seed: job.sampling.seed,
            prompt_ids_sha256: prompt_sha256(job),
            resumed: 0,
            usage: Usage::default(),
            commit: None,
            sig: None,
        }
    }
}

impl Engine for Scripted {
    fn models(&self) -> Vec<ModelInfo> {
        let info = |id: &String| ModelInfo {
            id: id.clone(),
            created: self.options.created,
            context_length: None,
            weights_id: Some(self.weights_id()),
            quant: None,
            kv_dtype: None,
            engine: Some(ENGINE.to_owned()),
            template_sha256: None,
            features: FEATURES.to_vec(),
            reach: None,
            backend: "scripted",
        };
        self.options.models.iter().map(info).collect()
    }

    fn start(&self, job: Job) -> BoxFuture<'_, Result<Answer, Error>> {
        Box::pin(self.play(job))
    }

    fn embed(&self, job: super::embed::Job) -> BoxFuture<'_, Result<super::embed::Answer, Error>> {
        Box::pin(self.vectors(job))
    }

    fn concurrency(&self) -> usize {
        self.options.max_concurrent
    }

    fn health(&self) -> Result<(), String> {
        Ok(())
    }
}

fn prompt_sha256(job: &Job) -> String {
    hex::encode(Sha256::digest(plan::prompt_text(&job.prompt).as_bytes()))
}

/// The request's own script: a member this API doesn't otherwise know.
fn script_member(job: &Job) -> Option<Value> {
    match &job.prompt {
        Prompt::Chat(request) => request.extra.get("script").cloned(),
        // Legacy completions keep no unknown members in the job; the request as it came has them.
        Prompt::Text(_) | Prompt::Ids(_) => raw_member(&job.raw.body),
    }
}

fn raw_member(body: &[u8]) -> Option<Value> {
    let mut members: Map<String, Value> = serde_json::from_slice(body).ok()?;
    members.remove("script")
}

/// An answer that is no OpenAI answer: any status, any body.
fn foreign(status: u16, script: &Script) -> Result<Relayed, Error> {
    let invalid = |what: &str| Error::Invalid {
        message: format!("`script.{what}` can't be sent"),
        param: Some(format!("script.{what}")),
        code: None,
    };
    let status = StatusCode::from_u16(status).map_err(|_| invalid("status"))?;
    let mut headers = HeaderMap::new();
    let kind = script.content_type.as_deref().unwrap_or("application/json");
    headers.insert(CONTENT_TYPE, HeaderValue::from_str(kind).map_err(|_| invalid("content_type"))?);
    if let Some(after) = &script.retry_after {
        let value = HeaderValue::from_str(after).map_err(|_| invalid("retry_after"))?;
        headers.insert(RETRY_AFTER, value);
    }
    let body = Bytes::from(script.body.clone().unwrap_or_default());
    let body = stream::once(std::future::ready(Ok(body))).boxed();
    Ok(Relayed { status, headers, body })
}
