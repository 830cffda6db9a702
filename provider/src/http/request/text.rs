//! A legacy completion request, checked.

use super::knobs::{self, Knobs};
use super::{Origin, Plan};
use crate::engine::{Job, Prompt, ToolUse};
use crate::http::error::Error;
use openapi::completions::{self, Request};
use serde_json::Value;

const LOGPROBS_MAX: u32 = 5;
/// OpenAI's default of this endpoint.
const MAX_TOKENS_DEFAULT: u32 = 16;

pub(in crate::http) fn plan(request: Request, origin: &Origin) -> Result<Plan, Error> {
    unsupported(&request)?;
    let knobs = Knobs {
        temperature: request.temperature,
        top_p: request.top_p,
        top_k: request.top_k,
        min_p: request.min_p,
        presence_penalty: request.presence_penalty,
        frequency_penalty: request.frequency_penalty,
        repetition_penalty: request.repetition_penalty,
        logit_bias: request.logit_bias.as_ref(),
        seed: request.seed,
    };
    if request.logprobs.is_some_and(|count| count > LOGPROBS_MAX) {
        let message = format!("`logprobs` must be between 0 and {LOGPROBS_MAX}");
        return Err(Error::invalid("logprobs", message));
    }
    let max_tokens = knobs::max_tokens("max_tokens", request.max_tokens)?;
    let include_usage =
        request.stream_options.is_some_and(|options| options.include_usage.unwrap_or(false));
    let job = Job {
        request_id: origin.request_id.clone(),
        sampling: knobs.sampling(origin.seed)?,
        max_tokens: Some(max_tokens.unwrap_or(MAX_TOKENS_DEFAULT)),
        stop: knobs::stops(request.stop.as_ref())?,
        constraint: None,
        tool_use: ToolUse::Off,
        logprobs: request.logprobs.and_then(|count| u8::try_from(count).ok()),
        evidence: origin.evidence,
        choice: 0,
        raw: origin.raw(),
        prompt: prompt(request.prompt)?,
        model: request.model,
    };
    let choices = knobs::choices(request.n, origin.choices_max)?;
    Ok(Plan { job, choices, stream: request.stream.unwrap_or(false), include_usage })
}

fn prompt(prompt: completions::Prompt) -> Result<Prompt, Error> {
    let invalid = |message| Err(Error::invalid("prompt", message));
    match prompt {
        completions::Prompt::Text(text) if text.is_empty() => invalid("`prompt` must not be empty"),
        completions::Prompt::Text(text) => Ok(Prompt::Text(text)),
        completions::Prompt::Ids(ids) if ids.is_empty() => invalid("`prompt` must not be empty"),
        completions::Prompt::Ids(ids) => Ok(Prompt::Ids(ids)),
        completions::Prompt::Texts(mut texts) => match (texts.pop(), texts.is_empty()) {
            (Some(text), true) if !text.is_empty() => Ok(Prompt::Text(text)),
            _ => invalid("`prompt` takes one text; send one request a prompt"),
        },
    }
}

/// Members whose neglect would change the answer's meaning.
fn unsupported(request: &Request) -> Result<(), Error> {
    if request.echo.unwrap_or(false) {
        return Err(Error::invalid("echo", "`echo` is not served"));
    }
    if request.extra.get("suffix").is_some_and(|value| !value.is_null()) {
        return Err(Error::invalid("suffix", "`suffix` is not served"));
    }
    let best_of = request.extra.get("best_of").and_then(Value::as_u64);
    if best_of.is_some_and(|count| count > u64::from(request.n.unwrap_or(1))) {
        return Err(Error::invalid("best_of", "`best_of` above `n` is not served"));
    }
    Ok(())
}
