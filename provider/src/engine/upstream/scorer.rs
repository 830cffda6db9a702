//! Scoring by a fronted server: the prompt is rendered, and the answer read, by the model's own files
//! here; the server is asked only for log-probabilities of ids it is given, in its own dialect. How it
//! would draw is its own affair, so no margins are told, and of the likeliest tokens no more than it
//! tells.

mod llama_cpp;
mod sglang;
mod vllm;

use super::ModelMap;
use super::client::Client;
use crate::engine::Error;
use crate::engine::score::{Answer, Job, Reach};
use crate::model::Model;
use crate::score::{Known, Scorer};
use openapi::verify::TOKENS_MAX;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// What is asked of each position; servers have a limit of their own, which is mostly 20.
const TOP: usize = 20;

/// How the fronted server tells log-probabilities of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Vllm,
    Sglang,
    LlamaCpp,
}

/// The models that can be scored, by their names here.
#[derive(Debug, Default)]
pub(super) struct Scorers(HashMap<String, Asked>);

#[derive(Debug)]
struct Asked {
    dialect: Dialect,
    model: Arc<Model>,
    name_there: String,
}

/// An answer as the server is asked about it.
struct Question<'a> {
    client: &'a Client,
    model: &'a str,
    prompt: &'a [u32],
    ids: &'a [u32],
    /// Ascending indices of `ids`, at least one.
    wanted: &'a [u32],
    eos: &'a [u32],
}

// === impl Dialect ===

impl Dialect {
    pub const ALL: [(&'static str, Self); 3] =
        [("vllm", Self::Vllm), ("sglang", Self::Sglang), ("llama_cpp", Self::LlamaCpp)];

    pub(super) fn reach(self) -> Reach {
        let tokens = match self {
            Self::Vllm | Self::Sglang => TOKENS_MAX,
            Self::LlamaCpp => llama_cpp::POSITIONS_MAX,
        };
        Reach { tokens_max: tokens as u64, sampler: None }
    }
}

// === impl Scorers ===

impl Scorers {
    /// Reads the files of those models that have any.
    pub(super) fn read(dialect: Option<Dialect>, models: &[ModelMap]) -> Result<Self, String> {
        let Some(dialect) = dialect else { return Ok(Self::default()) };
        let mut asked = HashMap::new();
        for map in models.iter().filter(|map| map.weights_id.is_some()) {
            let Some(folder) = &map.files else { continue };
            let model = Model::from_folder(folder).map_err(|error| error.to_string())?;
            let (model, name_there) = (Arc::new(model), map.upstream_model.clone());
            asked.insert(map.id.clone(), Asked { dialect, model, name_there });
        }
        Ok(Self(asked))
    }

    pub(super) fn template_sha256(&self, model: &str) -> Option<&str> {
        Some(self.0.get(model)?.model.template.as_ref()?.sha256())
    }

    pub(super) async fn score(&self, client: &Client, job: Job) -> Result<Answer, Error> {
        let name = &job.job.model;
        let unknown = || crate::engine::score::unsupported(name);
        let asked = self.0.get(name).ok_or_else(unknown)?;
        let (model, blind) = (Arc::clone(&asked.model), Job { margins: false, ..job.clone() });
        // Tokenises, and compiles a grammar.
        let prepared = tokio::task::spawn_blocking(move || {
            let prepared = model.prepare_score(&blind)?;
            Ok::<_, Error>(Scorer::new(&model, prepared, &blind))
        });
        let failed = |error: tokio::task::JoinError| Error::Internal(error.to_string());
        let (mut scorer, prompt) = prepared.await.map_err(failed)??;
        let question = Question {
            client,
            model: &asked.name_there,
            prompt: &prompt,
            ids: &job.ids,
            wanted: scorer.wanted(),
            eos: asked.model.tokenizer.eos(),
        };
        let known = match asked.dialect {
            Dialect::Vllm => vllm::ask(&question).await,
            Dialect::Sglang => sglang::ask(&question).await,
            Dialect::LlamaCpp => llama_cpp::ask(&question).await,
        };
        for known in known? {
            scorer.known(&known, usize::from(job.top_k));
        }
        match scorer.next() {
            None => Ok(scorer.finish()),
            Some(_) => Err(malformed("fewer positions than were asked for")),
        }
    }
}

// === impl Question ===

impl Question<'_> {
    /// Prompt and answer.
    fn all(&self) -> Vec<u32> {
        [self.prompt, self.ids].concat()
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, Error> {
        let sent = self.client.ask(path, body).await;
        sent.map_err(|reason| Error::Unavailable(format!("the fronted server: {reason}")))
    }
}

/// What is known of a token when the likeliest are: `top` in order.
fn known(top: Vec<(u32, f64)>, id: u32, own: Option<(f64, u32)>, eos: &[u32]) -> Known {
    let place = |id: u32| {
        let at = top.iter().position(|(other, _)| *other == id)?;
        Some((top.get(at)?.1, u32::try_from(at).ok()?))
    };
    // What is left for all others together, and no more than the last one has.
    let rest = || {
        let told: f64 = top.iter().map(|(_, lp)| lp.exp()).sum();
        let last = top.last().map_or(0.0, |(_, lp)| *lp);
        ((1.0 - told).max(f64::MIN_POSITIVE).ln().min(last), u32::try_from(top.len()).unwrap_or(0))
    };
    let (lp, rank) = own.or_else(|| place(id)).unwrap_or_else(rest);
    let ends = eos.iter().filter_map(|eos| place(*eos));
    let end = ends.reduce(|a, b| if b.1 < a.1 { b } else { a });
    let (eos_lp, eos_rank) = match end {
        Some(end) => end,
        None if eos.contains(&id) => (lp, rank),
        None => rest(),
    };
    Known { lp, rank, eos_lp, eos_rank, top }
}

fn malformed(what: &str) -> Error {
    Error::Unavailable(format!("the fronted server's answer cannot be scored with: {what}"))
}
