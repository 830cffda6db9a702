//! The seam between the HTTP surface and whatever produces tokens. An engine takes validated jobs
//! and returns events, or a foreign server's answer to relay as it is. It knows no HTTP framework,
//! prints no SSE and makes no admission decision; conversions to a library stay in its own file.

pub mod embed;
#[cfg(feature = "mistralrs")]
pub mod mistral;
pub mod score;
pub mod scripted;
pub mod select;
pub mod several;
mod tally;
pub mod toy;
pub mod upstream;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use openapi::chat::{FinishReason, TokenLogprob, ToolCallDelta};
use openapi::commit::Claim;
use openapi::node::{Feature, Served};
use openapi::resume::Resume;
use openapi::usage::Usage;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Serves jobs for one or more models. Shared by all requests.
pub trait Engine: Send + Sync + std::fmt::Debug {
    /// What can be asked of it now. May change (an upstream's list).
    fn models(&self) -> Vec<ModelInfo>;

    /// Begins a job. An `Err` here becomes an HTTP error; later ones travel in the events.
    /// Dropping the future or the answer cancels the work within two tokens.
    fn start(&self, job: Job) -> BoxFuture<'_, Result<Answer, Error>>;

    /// Turns texts into vectors. Dropping the future cancels the work within one input.
    fn embed(&self, job: embed::Job) -> BoxFuture<'_, Result<embed::Answer, Error>> {
        Box::pin(std::future::ready(Err(embed::unsupported(&job.model))))
    }

    /// Scores an answer that another node made with the same weights. Dropping the future cancels.
    fn score(&self, job: score::Job) -> BoxFuture<'_, Result<score::Answer, Error>> {
        Box::pin(std::future::ready(Err(score::unsupported(&job.job.model))))
    }

    /// Jobs it can run at once; admission holds the rest in its queue.
    fn concurrency(&self) -> usize;

    /// Whether it can serve now, with the reason when it can't.
    fn health(&self) -> Result<(), String>;

    /// Whether requests are passed on as they came ([`Job::raw`]). Then only what this server acts
    /// on is checked here (`model`, `stream`), the rest is the foreign server's to judge, and one
    /// job carries all choices.
    fn relays(&self) -> bool {
        false
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelInfo {
    pub id: String,
    /// Unix seconds.
    pub created: i64,
    /// Tokens, prompt and answer together.
    pub context_length: Option<u64>,
    /// `b3:…`; absent for a foreign server's models.
    pub weights_id: Option<String>,
    pub quant: Option<String>,
    pub kv_dtype: Option<String>,
    /// Name and version of what runs it.
    pub engine: Option<String>,
    /// Of the chat template, hex.
    pub template_sha256: Option<String>,
    pub features: Vec<Feature>,
    /// Absent: what others wrote is not scored here.
    pub reach: Option<score::Reach>,
    /// What it computes on: `cpu`, `cuda`, `metal`, `scripted`, or `upstream`.
    pub backend: &'static str,
}

impl ModelInfo {
    /// As gateways are told.
    pub fn served(self) -> Served {
        Served {
            id: self.id,
            weights_id: self.weights_id,
            quantization: self.quant,
            kv_dtype: self.kv_dtype,
            engine: self.engine,
            template_sha256: self.template_sha256,
            context_length: self.context_length,
            features: self.features,
        }
    }
}

/// One answer to produce: one choice. `n` choices are `n` jobs.
#[derive(Debug, Clone)]
pub struct Job {
    /// For logs only.
    pub request_id: String,
    pub model: String,
    pub prompt: Prompt,
    pub sampling: Sampling,
    /// Absent: as many as the context holds.
    pub max_tokens: Option<u32>,
    /// At most 4, none empty. The stop string itself is not part of the answer.
    pub stop: Vec<String>,
    pub constraint: Option<Constraint>,
    pub tool_use: ToolUse,
    /// `Some(k)`: log-probabilities with the `k` likeliest alternatives, 0 to 20.
    pub logprobs: Option<u8>,
    /// Whether token ids and provenance are wanted.
    pub evidence: bool,
    /// Index of the choice this job makes.
    pub choice: u32,
    /// An answer that another node began, to be gone on with; then there is one choice.
    pub resume: Option<Resume>,
    /// The request as it came, for engines that pass it on.
    pub raw: RawRequest,
}

#[derive(Debug, Clone)]
pub enum Prompt {
    /// Messages, tools and template variables of the request; the engine renders its template.
    Chat(Arc<openapi::chat::Request>),
    Text(String),
    Ids(Vec<u32>),
}

/// Checked: finite, and in OpenAI's ranges.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Of this choice.
    pub seed: u64,
    /// 0 is argmax.
    pub temperature: f64,
    /// 0 is off.
    pub top_k: u32,
    /// 1 is off.
    pub top_p: f64,
    /// 0 is off.
    pub min_p: f64,
    pub presence_penalty: f64,
    pub frequency_penalty: f64,
    /// 1 is off.
    pub repetition_penalty: f64,
    pub logit_bias: BTreeMap<u32, f64>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Constraint {
    /// Any JSON object.
    JsonObject,
    JsonSchema(Value),
    Regex(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolUse {
    /// No tools, or `tool_choice: none`.
    Off,
    Auto,
    Required,
    Named(String),
}

/// What came over the wire.
#[derive(Debug, Clone, Default)]
pub struct RawRequest {
    /// `/v1/chat/completions`, `/v1/completions` or `/v1/embeddings`.
    pub path: String,
    pub body: Bytes,
}

/// What an engine hands back.
#[derive(Debug)]
pub enum Answer {
    Events(Generation),
    /// A foreign server's answer: status, headers that may pass, and the body as it comes.
    Relay(Relayed),
}

pub struct Generation {
    pub prompt_tokens: u32,
    /// Present when evidence was asked for and the engine can give it; `usage` is filled by the caller.
    pub provenance: Option<Box<openapi::evidence::Provenance>>,
    /// Ends after [`Event::Finish`], an `Err`, or early when the engine broke: never a silent success.
    pub events: BoxStream<'static, Result<Event, Error>>,
}

pub struct Relayed {
    pub status: http::StatusCode,
    pub headers: http::HeaderMap,
    pub body: BoxStream<'static, Result<Bytes, Error>>,
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Generation({} prompt tokens)", self.prompt_tokens)
    }
}

impl std::fmt::Debug for Relayed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Relayed({})", self.status)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Delta(Delta),
    /// The last event of a good answer.
    Finish {
        reason: FinishReason,
        usage: Usage,
        /// Ids of tokens that end the answer without text of their own (end of turn).
        ids: Vec<u32>,
        /// What is claimed of each token that was drawn here, where evidence was asked for.
        claims: Vec<Claim>,
    },
    /// Bytes to write as they are: how a script misbehaves.
    Raw(Bytes),
}

/// A piece of the answer. At least one of the texts or a tool call is set, or it tells the ids of
/// tokens whose text comes later.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Delta {
    pub content: Option<String>,
    pub reasoning: Option<String>,
    pub tool_call: Option<ToolCallDelta>,
    /// The tokens this piece was made from, in order.
    pub ids: Vec<u32>,
    pub logprobs: Vec<TokenLogprob>,
}

impl Delta {
    pub fn is_ids_alone(&self) -> bool {
        self.content.is_none() && self.reasoning.is_none() && self.tool_call.is_none()
    }
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The caller's fault: 400.
    #[error("{message}")]
    Invalid { message: String, param: Option<String>, code: Option<&'static str> },
    #[error("the model `{0}` does not exist")]
    UnknownModel(String),
    /// An answer cannot be gone on with here ([`Job::resume`]): 409.
    #[error("{0}")]
    Mismatch(String),
    /// Try elsewhere, or later: 503.
    #[error("{0}")]
    Unavailable(String),
    /// 500. The text goes to the log; the caller sees a request id.
    #[error("{0}")]
    Internal(String),
    /// The connection is to be cut without a word: how a script misbehaves.
    #[error("cut by script")]
    Abort,
}
