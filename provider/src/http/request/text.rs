//! A legacy completion request, checked.

use super::knobs::{self, Knobs};
use super::{Origin, Plan, resume};
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
    let (prompt, further) = prompts(request.prompt)?;
    let n = knobs::choices(request.n, origin.choices_max)?;
    let choices =
        n.saturating_mul(u32::try_from(further.len()).unwrap_or(u32::MAX).saturating_add(1));
    if choices > origin.choices_max {
        let message = format!(
            "`prompt` and `n` ask for {choices} answers at once; at most {} are served here",
            origin.choices_max
        );
        return Err(Error::invalid("prompt", message));
    }
    let resume = resume::resume(request.quorate, choices)?;
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
        resume,
        raw: origin.raw(),
        prompt,
        model: request.model,
    };
    let stream = request.stream.unwrap_or(false);
    Ok(Plan { job, further, choices, stream, include_usage })
}

/// The first prompt, and those after it.
fn prompts(prompt: completions::Prompt) -> Result<(Prompt, Vec<Prompt>), Error> {
    let mut prompts: Vec<Prompt> = match prompt {
        completions::Prompt::Text(text) => vec![Prompt::Text(text)],
        completions::Prompt::Ids(ids) => vec![Prompt::Ids(ids)],
        completions::Prompt::Texts(texts) => texts.into_iter().map(Prompt::Text).collect(),
        completions::Prompt::IdLists(lists) => lists.into_iter().map(Prompt::Ids).collect(),
    };
    let is_empty = |prompt: &Prompt| match prompt {
        Prompt::Text(text) => text.is_empty(),
        Prompt::Ids(ids) => ids.is_empty(),
        Prompt::Chat(_) => false,
    };
    if prompts.iter().any(is_empty) {
        return Err(Error::invalid("prompt", "`prompt` must not be empty"));
    }
    let further = prompts.split_off(prompts.len().min(1));
    match prompts.pop() {
        Some(first) => Ok((first, further)),
        None => Err(Error::invalid("prompt", "`prompt` must not be empty")),
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
