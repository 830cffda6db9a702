//! A whole answer, put together from the same events a stream is printed from.

use super::total::Total;
use super::writer::{legacy_logprobs, plain_text};
use super::{Heading, Shape};
use crate::engine::{self, Delta, Event};
use crate::http::Context;
use crate::http::error::Error;
use crate::http::generate::Running;
use crate::http::request::Plan;
use axum::response::{IntoResponse, Json, Response};
use futures_util::StreamExt;
use openapi::chat::{
    self, AnswerMessage, FinishReason, FunctionCall, TokenLogprob, ToolCall, ToolCallDelta,
};
use openapi::completions;
use openapi::usage::Usage;

/// Tool calls of one choice; a further one is the engine's fault.
const TOOL_CALLS_MAX: usize = 1024;

/// One choice so far.
#[derive(Debug, Default)]
struct Choice {
    content: Option<String>,
    reasoning: Option<String>,
    tool_calls: Vec<ToolCall>,
    logprobs: Vec<TokenLogprob>,
    reason: Option<FinishReason>,
}

/// The response of a whole answer. Dropping the future drops the jobs.
pub(in crate::http) async fn whole(
    context: &Context,
    heading: Heading,
    plan: &Plan,
    running: Running,
) -> Result<Response, Error> {
    let id = plan.job.request_id.as_str();
    let mut choices: Vec<Choice> = (0..plan.choices).map(|_| Choice::default()).collect();
    let mut total = Total::default();
    let Running { prompt_tokens, mut events, .. } = running;
    loop {
        let event = tokio::select! {
            biased;
            () = context.shutdown.cut().cancelled() => return Err(Error::Draining),
            event = events.next() => event,
        };
        let Some(event) = event else { break };
        let (index, event) = event.map_err(|error: engine::Error| Error::from_engine(error, id))?;
        let Some(choice) = choices.get_mut(index as usize) else { continue };
        match event {
            Event::Delta(delta) => choice.add(delta),
            Event::Finish { reason, usage, .. } => {
                choice.reason = Some(reason);
                total.add(usage, index.is_multiple_of(plan.choices_per_prompt()));
            }
            // Bytes of a stream have no place in a whole answer.
            Event::Raw(_) => {}
        }
    }
    if choices.iter().any(|choice| choice.reason.is_none()) {
        return Err(Error::internal(id, "the engine's events broke off"));
    }
    Ok(print(heading, choices, total.usage(prompt_tokens)))
}

fn print(heading: Heading, choices: Vec<Choice>, usage: Usage) -> Response {
    let Heading { shape, id, created, model } = heading;
    let usage = Some(usage);
    match shape {
        Shape::Chat => Json(chat::Response {
            id,
            object: "chat.completion".to_owned(),
            created,
            model,
            choices: (0..).zip(choices).map(|(index, choice)| choice.chat(index)).collect(),
            usage,
            system_fingerprint: None,
        })
        .into_response(),
        Shape::Text => Json(completions::Response {
            id,
            object: "text_completion".to_owned(),
            created,
            model,
            choices: (0..).zip(choices).map(|(index, choice)| choice.text(index)).collect(),
            usage,
        })
        .into_response(),
    }
}

// === impl Choice ===

impl Choice {
    fn add(&mut self, delta: Delta) {
        append(&mut self.content, delta.content);
        append(&mut self.reasoning, delta.reasoning);
        if let Some(call) = delta.tool_call {
            self.add_tool_call(call);
        }
        self.logprobs.extend(delta.logprobs);
    }

    fn add_tool_call(&mut self, delta: ToolCallDelta) {
        let index = delta.index as usize;
        if index >= TOOL_CALLS_MAX {
            return;
        }
        while self.tool_calls.len() <= index {
            self.tool_calls.push(ToolCall {
                id: String::new(),
                kind: "function".to_owned(),
                function: FunctionCall { name: String::new(), arguments: String::new() },
            });
        }
        let Some(call) = self.tool_calls.get_mut(index) else { return };
        if let Some(id) = delta.id {
            call.id = id;
        }
        if let Some(function) = delta.function {
            call.function.name.push_str(&function.name.unwrap_or_default());
            call.function.arguments.push_str(&function.arguments.unwrap_or_default());
        }
    }

    fn chat(self, index: u32) -> chat::Choice {
        let tool_calls = (!self.tool_calls.is_empty()).then_some(self.tool_calls);
        // Null only where tool calls stand in its place.
        let content = self.content.or_else(|| tool_calls.is_none().then(String::new));
        let logprobs = (!self.logprobs.is_empty())
            .then_some(chat::Logprobs { content: Some(self.logprobs), refusal: None });
        chat::Choice {
            index,
            message: AnswerMessage {
                role: "assistant".to_owned(),
                content,
                refusal: None,
                reasoning_content: self.reasoning.clone(),
                reasoning: self.reasoning,
                tool_calls,
            },
            logprobs,
            finish_reason: self.reason,
        }
    }

    fn text(self, index: u32) -> completions::Choice {
        let logprobs = (!self.logprobs.is_empty()).then(|| legacy_logprobs(self.logprobs, 0));
        completions::Choice {
            text: plain_text(self.reasoning, self.content),
            index,
            logprobs,
            finish_reason: self.reason,
        }
    }
}

fn append(text: &mut Option<String>, piece: Option<String>) {
    match (text, piece) {
        (Some(text), Some(piece)) => text.push_str(&piece),
        (text @ None, piece) => *text = piece,
        (Some(_), None) => {}
    }
}
