//! Events as the bytes of a stream. Pure: what it wrote so far is all it knows.
//!
//! An event is `data: {chunk}\n\n`. Where evidence is wanted, the comment with the ids stands before
//! the data line of the same event, so that a cut never leaves text without its ids.

use super::evidence::Evidence;
use super::total::Total;
use super::{Heading, Shape};
use crate::engine::{Delta, Event};
use crate::http::error::Error;
use bytes::Bytes;
use openapi::chat::{self, ChunkChoice, FinishReason, TokenLogprob};
use openapi::completions;
use openapi::evidence::{self, PROVENANCE_PREFIX};
use serde::Serialize;
use std::collections::BTreeMap;

/// Written after silence, so that nobody on the way takes the connection for dead.
pub(super) const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

#[derive(Debug)]
pub(super) struct Writer {
    shape: Shape,
    /// `data: {…,"choices":[`
    opening: Vec<u8>,
    include_usage: bool,
    heading: Heading,
    /// Absent where nobody asked for it.
    evidence: Option<Evidence>,
    prompt_tokens: u32,
    total: Total,
    choices_per_prompt: u32,
    choices: Vec<Choice>,
}

/// What is remembered of one choice.
#[derive(Debug, Default)]
struct Choice {
    finished: bool,
    /// Bytes of text written, for legacy logprobs.
    text_bytes: u64,
}

/// The members every chunk begins with, in the order of the chunk types.
#[derive(Serialize)]
struct Head<'a> {
    id: &'a str,
    object: &'a str,
    created: i64,
    model: &'a str,
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(heading: &Heading, choices: u32, include_usage: bool) -> Self {
        let object = match heading.shape {
            Shape::Chat => "chat.completion.chunk",
            Shape::Text => "text_completion",
        };
        let mut opening = b"data: ".to_vec();
        json(
            &Head { id: &heading.id, object, created: heading.created, model: &heading.model },
            &mut opening,
        );
        opening.pop();
        opening.extend_from_slice(b",\"choices\":[");
        Self {
            shape: heading.shape,
            opening,
            include_usage,
            heading: heading.clone(),
            evidence: None,
            prompt_tokens: 0,
            total: Total::default(),
            choices_per_prompt: choices.max(1),
            choices: (0..choices).map(|_| Choice::default()).collect(),
        }
    }

    /// With ids and provenance in comments.
    pub(super) fn with_evidence(mut self, evidence: Evidence) -> Self {
        self.evidence = Some(evidence);
        self
    }

    /// Where several prompts are answered at once.
    pub(super) fn with_choices_per_prompt(mut self, choices: u32) -> Self {
        self.choices_per_prompt = choices.max(1);
        self
    }

    /// For an answer whose first so many bytes were written elsewhere.
    pub(super) fn with_text_bytes(mut self, bytes: u64) -> Self {
        if let Some(choice) = self.choices.first_mut() {
            choice.text_bytes = bytes;
        }
        self
    }

    pub(super) fn with_prompt_tokens(mut self, prompt_tokens: u32) -> Self {
        self.prompt_tokens = prompt_tokens;
        self
    }

    /// Whether every choice came to its end, and with it the stream.
    pub(super) fn is_done(&self) -> bool {
        self.choices.iter().all(|choice| choice.finished)
    }

    /// What stands before any text: the role of each choice. Empty for legacy completions.
    pub(super) fn start(&self) -> Bytes {
        let mut out = Vec::new();
        if self.shape == Shape::Chat {
            for index in (0u32..).take(self.choices.len()) {
                let delta = chat::Delta {
                    role: Some("assistant".to_owned()),
                    content: Some(String::new()),
                    ..chat::Delta::default()
                };
                self.chunk(
                    &ChunkChoice { index, delta, logprobs: None, finish_reason: None },
                    &mut out,
                );
            }
        }
        Bytes::from(out)
    }

    /// The bytes of one event; after the last choice's finish also everything up to `[DONE]`.
    pub(super) fn event(&mut self, index: u32, event: Event) -> Bytes {
        let mut out = Vec::with_capacity(self.opening.len() + 160);
        match event {
            Event::Raw(bytes) => return bytes,
            Event::Delta(delta) if delta.is_ids_alone() => {
                self.ids(index, &delta.ids, &mut out);
                // A comment alone: no client takes it for an event.
                if !out.is_empty() {
                    out.push(b'\n');
                }
            }
            Event::Delta(delta) => {
                self.ids(index, &delta.ids, &mut out);
                self.delta(index, delta, &mut out);
            }
            Event::Finish { reason, usage, ids, claims } => {
                self.ids(index, &ids, &mut out);
                if let Some(evidence) = &mut self.evidence {
                    evidence.claimed(index, claims);
                }
                self.finish(index, reason, &mut out);
                self.total.add(usage, index.is_multiple_of(self.choices_per_prompt));
                if self.is_done() {
                    self.end(&mut out);
                }
            }
        }
        Bytes::from(out)
    }

    /// The event that ends a stream which failed.
    pub(super) fn error(error: &Error) -> Bytes {
        Bytes::from(format!("data: {}\n\n", error.body().to_json()))
    }

    fn ids(&mut self, index: u32, ids: &[u32], out: &mut Vec<u8>) {
        let Some(evidence) = &mut self.evidence else { return };
        if !ids.is_empty() {
            evidence.drawn(index, ids);
            out.extend_from_slice(evidence::ids_comment(index, ids).as_bytes());
            out.push(b'\n');
        }
    }

    fn delta(&mut self, index: u32, delta: Delta, out: &mut Vec<u8>) {
        match self.shape {
            Shape::Chat => {
                let logprobs = (!delta.logprobs.is_empty())
                    .then_some(chat::Logprobs { content: Some(delta.logprobs), refusal: None });
                let delta = chat::Delta {
                    role: None,
                    content: delta.content,
                    reasoning_content: delta.reasoning.clone(),
                    reasoning: delta.reasoning,
                    refusal: None,
                    tool_calls: delta.tool_call.map(|call| vec![call]),
                };
                self.chunk(&ChunkChoice { index, delta, logprobs, finish_reason: None }, out);
            }
            Shape::Text => {
                let text = plain_text(delta.reasoning, delta.content);
                let choice = self.choices.get_mut(index as usize);
                let offset = choice.map_or(0, |choice| {
                    let before = choice.text_bytes;
                    choice.text_bytes += text.len() as u64;
                    before
                });
                let logprobs =
                    (!delta.logprobs.is_empty()).then(|| legacy_logprobs(delta.logprobs, offset));
                self.chunk(
                    &completions::Choice { text, index, logprobs, finish_reason: None },
                    out,
                );
            }
        }
    }

    fn finish(&mut self, index: u32, reason: FinishReason, out: &mut Vec<u8>) {
        if let Some(choice) = self.choices.get_mut(index as usize) {
            choice.finished = true;
        }
        let finish_reason = Some(reason);
        match self.shape {
            Shape::Chat => {
                let delta = chat::Delta::default();
                self.chunk(&ChunkChoice { index, delta, logprobs: None, finish_reason }, out);
            }
            Shape::Text => {
                let text = String::new();
                self.chunk(
                    &completions::Choice { text, index, logprobs: None, finish_reason },
                    out,
                );
            }
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let usage = self.total.usage(self.prompt_tokens);
        if self.include_usage {
            out.extend_from_slice(&self.opening);
            out.extend_from_slice(b"],\"usage\":");
            json(&usage, out);
            out.extend_from_slice(b"}\n\n");
        }
        let evidence = self.evidence.as_mut();
        if let Some(provenance) = evidence.and_then(|own| own.provenance(usage, &self.heading)) {
            out.extend_from_slice(PROVENANCE_PREFIX.as_bytes());
            json(&provenance, out);
            out.push(b'\n');
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn chunk(&self, choice: &impl Serialize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.opening);
        json(choice, out);
        out.extend_from_slice(b"]}\n\n");
    }
}

/// Writing plain structs into memory can't fail.
fn json(value: &impl Serialize, out: &mut Vec<u8>) {
    if let Err(error) = serde_json::to_writer(out, value) {
        tracing::error!(%error, "an event could not be printed");
    }
}

/// Legacy completions know no reasoning: all text is text.
pub(super) fn plain_text(reasoning: Option<String>, content: Option<String>) -> String {
    match (reasoning, content) {
        (Some(reasoning), Some(content)) => reasoning + &content,
        (Some(text), None) | (None, Some(text)) => text,
        (None, None) => String::new(),
    }
}

/// `offset`: bytes of text before the first of these tokens.
pub(super) fn legacy_logprobs(tokens: Vec<TokenLogprob>, offset: u64) -> completions::Logprobs {
    let mut legacy = completions::Logprobs::default();
    let mut offset = offset;
    for token in tokens {
        legacy.text_offset.push(offset);
        offset += token.bytes.as_ref().map_or(token.token.len(), Vec::len) as u64;
        let top: BTreeMap<String, f64> =
            token.top_logprobs.into_iter().map(|top| (top.token, top.logprob)).collect();
        legacy.top_logprobs.push(top);
        legacy.token_logprobs.push(token.logprob);
        legacy.tokens.push(token.token);
    }
    legacy
}
