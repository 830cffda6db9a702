//! The few members read of a request that is passed on as it came. The rest, known to us or not,
//! is the foreign server's to judge.

use super::{Origin, Plan};
use crate::engine::{Job, Prompt, Sampling, ToolUse};
use crate::http::error::Error;
use crate::http::parse;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
struct Head {
    model: String,
    #[serde(default)]
    stream: Option<bool>,
}

pub(in crate::http) fn plan(origin: &Origin) -> Result<Plan, Error> {
    let head: Head = parse::json(&origin.body)?;
    let sampling = Sampling {
        seed: origin.seed,
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        presence_penalty: 0.0,
        frequency_penalty: 0.0,
        repetition_penalty: 1.0,
        logit_bias: BTreeMap::new(),
    };
    let job = Job {
        request_id: origin.request_id.clone(),
        model: head.model,
        prompt: Prompt::Ids(Vec::new()),
        sampling,
        max_tokens: None,
        stop: Vec::new(),
        constraint: None,
        tool_use: ToolUse::Off,
        logprobs: None,
        evidence: origin.evidence,
        choice: 0,
        resume: None,
        raw: origin.raw(),
    };
    Ok(Plan {
        job,
        further: Vec::new(),
        choices: 1,
        stream: head.stream.unwrap_or(false),
        include_usage: false,
    })
}
