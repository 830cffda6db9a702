//! Requests as they come: of several temperatures and lengths, with a system's message.

use openapi::chat::Request;
use provider::engine::{Constraint, Job, Prompt, RawRequest, Sampling, ToolUse};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Error;

/// Of every so many requests one wants a short answer.
const SHORT_EVERY: u64 = 8;
const SHORT_TOKENS: u32 = 24;
const TOKENS_MAX: u32 = 160;
const TEMPERATURES: [f64; 4] = [1.0, 0.7, 0.0, 1.2];
/// Sentences of eight words: the toy would never write a full stop.
const SENTENCES: &str = "(( [a-z]{4}){8}\\.){10}";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Chat,
    /// Under a grammar.
    Grammar,
    /// The node that answers breaks off, and another goes on.
    Broken,
}

/// The request of this number in a run.
///
/// # Errors
/// Never in fact: it is OpenAI's.
pub fn request(model: &str, id: String, number: u64, kind: Kind) -> Result<Job, Error> {
    let index = usize::try_from(number).unwrap_or_default() % TEMPERATURES.len();
    let temperature = TEMPERATURES.get(index).copied().unwrap_or(1.0);
    let is_short = kind == Kind::Chat && number % SHORT_EVERY == SHORT_EVERY - 1;
    let request: Request = serde_json::from_value(json!({"model": model, "messages": [
        {"role": "system", "content": "You answer in words of four letters."},
        {"role": "user", "content": format!("Question {number} of {id}")}]}))?;
    let seed = blake3_seed(&id);
    Ok(Job {
        request_id: id,
        model: model.to_owned(),
        prompt: Prompt::Chat(Arc::new(request)),
        sampling: Sampling {
            seed,
            temperature,
            top_k: 0,
            top_p: if number.is_multiple_of(3) { 0.95 } else { 1.0 },
            min_p: 0.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            repetition_penalty: 1.0,
            logit_bias: BTreeMap::new(),
        },
        max_tokens: Some(if is_short { SHORT_TOKENS } else { TOKENS_MAX }),
        stop: Vec::new(),
        constraint: (kind == Kind::Grammar).then(|| Constraint::Regex(SENTENCES.to_owned())),
        tool_use: ToolUse::Off,
        logprobs: None,
        evidence: true,
        choice: 0,
        resume: None,
        raw: RawRequest::default(),
    })
}

/// As a gateway chooses it: by its secret and the request's id.
fn blake3_seed(id: &str) -> u64 {
    let hash = blake3::hash(format!("seed {id}").as_bytes());
    hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
