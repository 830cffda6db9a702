//! A chat completion request, checked.

use super::knobs::{self, Knobs};
use super::{Origin, Plan, messages, resume, tools};
use crate::engine::{Job, Prompt};
use crate::http::error::Error;
use openapi::chat::Request;
use serde_json::Value;
use std::sync::Arc;

const TOP_LOGPROBS_MAX: u32 = 20;

pub(in crate::http) fn plan(mut request: Request, origin: &Origin) -> Result<Plan, Error> {
    messages::check(&request.messages)?;
    tools::narrow(&mut request)?;
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
    // The newer name wins, as at OpenAI; the older is still checked.
    let max_tokens = knobs::max_tokens("max_tokens", request.max_tokens)?;
    let newer = knobs::max_tokens("max_completion_tokens", request.max_completion_tokens)?;
    let choices = knobs::choices(request.n, origin.choices_max)?;
    let resume = resume::resume(request.quorate.take(), choices)?;
    let job = Job {
        request_id: origin.request_id.clone(),
        model: request.model.clone(),
        sampling: knobs.sampling(origin.seed)?,
        max_tokens: newer.or(max_tokens),
        stop: knobs::stops(request.stop.as_ref())?,
        constraint: tools::constraint(request.response_format.as_ref())?,
        tool_use: tools::tool_use(&request)?,
        logprobs: logprobs(&request)?,
        evidence: origin.evidence,
        choice: 0,
        resume,
        raw: origin.raw(),
        prompt: Prompt::Text(String::new()),
    };
    let stream = request.stream.unwrap_or(false);
    let include_usage =
        request.stream_options.is_some_and(|options| options.include_usage.unwrap_or(false));
    let job = Job { prompt: Prompt::Chat(Arc::new(request)), ..job };
    Ok(Plan { job, further: Vec::new(), choices, stream, include_usage })
}

fn logprobs(request: &Request) -> Result<Option<u8>, Error> {
    let wanted = request.logprobs.unwrap_or(false);
    match request.top_logprobs {
        None => Ok(wanted.then_some(0)),
        Some(_) if !wanted => {
            Err(Error::invalid("top_logprobs", "`top_logprobs` needs `logprobs`: true"))
        }
        Some(count) if count > TOP_LOGPROBS_MAX => {
            let message = format!("`top_logprobs` must be between 0 and {TOP_LOGPROBS_MAX}");
            Err(Error::invalid("top_logprobs", message))
        }
        Some(count) => Ok(u8::try_from(count).ok()),
    }
}

/// Members whose neglect would change the answer's meaning.
fn unsupported(request: &Request) -> Result<(), Error> {
    for (member, instead) in [("functions", "tools"), ("function_call", "tool_choice")] {
        if request.extra.get(member).is_some_and(|value| !value.is_null()) {
            let message = format!("`{member}` is not served; use `{instead}`");
            return Err(Error::invalid(member, message));
        }
    }
    let modalities = request.extra.get("modalities").and_then(Value::as_array);
    if modalities.is_some_and(|list| list.iter().any(|kind| kind.as_str() != Some("text"))) {
        return Err(Error::invalid("modalities", "only the modality `text` is served"));
    }
    Ok(())
}
