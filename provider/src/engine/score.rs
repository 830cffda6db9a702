//! What an engine is asked when another node's answer is to be checked, and what it says.

use openapi::chat::FinishReason;
use openapi::verify::Score;

use super::Error;

/// An answer to score.
#[derive(Debug, Clone)]
pub struct Job {
    /// As it would be answered here: prompt, sampling with the choice's own seed, stop strings, grammar.
    pub job: super::Job,
    /// What the other node drew, from the first token on.
    pub ids: Vec<u32>,
    /// Ascending indices of `ids`; absent: all of them.
    pub positions: Option<Vec<u32>>,
    /// 0 to 20.
    pub top_k: u8,
    /// Whether margins can be told: the seed in force is known, or nothing is drawn by it.
    pub margins: bool,
}

/// How far a model's answers can be scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Tokens in one pass; beyond that, positions are scored one by one.
    pub tokens_max: u64,
    /// Whose margins can be told.
    pub sampler: Option<&'static str>,
}

/// What this engine's model makes of it. The names are those of [`openapi::verify::Scored`].
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub prompt_ids_sha256: String,
    pub prompt_tokens: u32,
    pub text_sha256: String,
    pub finish_reason: Option<FinishReason>,
    pub max_tokens: u32,
    pub constrained: bool,
    /// The sampler whose margins are told, if any.
    pub sampler: Option<&'static str>,
    pub scores: Vec<Score>,
}

pub(crate) fn unsupported(model: &str) -> Error {
    let model: String = model.chars().take(256).collect();
    let message = format!("the model `{model}` cannot score what others wrote here");
    Error::Invalid { message, param: Some("weights_id".to_owned()), code: None }
}
