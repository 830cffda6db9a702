//! What is read of a chat answer, whole or of one chunk. The gateway's own relay has mended it before.

use openapi::responses::{Logprob, TopLogprob, Usage};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::text::Text;

#[derive(Debug, Deserialize)]
pub(super) struct Chunk {
    pub(super) model: Option<String>,
    pub(super) choices: Option<Vec<Choice>>,
    usage: Option<Value>,
    service_tier: Option<Value>,
    error: Option<Value>,
    pub(super) quorate: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    pub(super) index: u32,
    delta: Option<Delta>,
    message: Option<Delta>,
    pub(super) finish_reason: Option<String>,
    logprobs: Option<Logprobs>,
}

/// A chunk's `delta`, or a whole answer's `message`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Delta {
    pub(super) content: Option<Text>,
    pub(super) refusal: Option<Text>,
    reasoning_content: Option<Text>,
    reasoning: Option<Text>,
    pub(super) tool_calls: Option<Vec<Call>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Call {
    pub(super) index: Option<u32>,
    pub(super) id: Option<String>,
    pub(super) function: Option<Function>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Function {
    pub(super) name: Option<String>,
    pub(super) arguments: Option<Text>,
}

#[derive(Debug, Deserialize)]
struct Logprobs {
    content: Option<Vec<Token>>,
}

#[derive(Debug, Deserialize)]
struct Token {
    token: Text,
    logprob: Box<RawValue>,
    bytes: Option<Vec<u8>>,
    top_logprobs: Option<Vec<Token>>,
}

// === impl Chunk ===

impl Chunk {
    /// Reads one. Of a member that is there twice the last holds, as it does for most clients.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        let again = |_| serde_json::from_slice::<Value>(json).and_then(serde_json::from_value);
        serde_json::from_slice(json).or_else(again).ok()
    }

    /// The tokens counted; `None` where there is no count that can be read.
    pub(super) fn usage(&self) -> Option<Usage> {
        let usage = self.usage.as_ref()?;
        let count = |path: &str| usage.pointer(path).and_then(Value::as_u64);
        let mut read = Usage {
            input_tokens: count("/prompt_tokens")?,
            output_tokens: count("/completion_tokens")?,
            ..Usage::default()
        };
        let sum = read.input_tokens.saturating_add(read.output_tokens);
        read.total_tokens = count("/total_tokens").unwrap_or(sum);
        let detail = |path: &str| count(path).unwrap_or(0);
        let input = &mut read.input_tokens_details;
        input.cached_tokens = detail("/prompt_tokens_details/cached_tokens");
        input.cache_write_tokens = detail("/prompt_tokens_details/cache_write_tokens");
        read.output_tokens_details.reasoning_tokens =
            detail("/completion_tokens_details/reasoning_tokens");
        Some(read)
    }

    /// What failed; some servers say with an empty value that nothing did.
    pub(super) fn error(&self) -> Option<&Value> {
        self.error.as_ref().filter(|error| match error {
            Value::Null | Value::Bool(false) => false,
            Value::String(text) => !text.is_empty(),
            Value::Object(members) => !members.is_empty(),
            _ => true,
        })
    }

    pub(super) fn service_tier(&self) -> Option<&str> {
        self.service_tier.as_ref()?.as_str()
    }
}

// === impl Choice ===

impl Choice {
    pub(super) fn take_delta(&mut self) -> Delta {
        let whole = || {
            let mut message = self.message.take()?;
            // The list is whole, and its order says which call is which.
            for call in message.tool_calls.iter_mut().flatten() {
                call.index = None;
            }
            Some(message)
        };
        self.delta.take().or_else(whole).unwrap_or_default()
    }

    pub(super) fn take_logprobs(&mut self) -> Vec<Logprob> {
        let tokens = self.logprobs.take().and_then(|logprobs| logprobs.content);
        tokens.unwrap_or_default().into_iter().map(Token::logprob).collect()
    }
}

// === impl Delta ===

impl Delta {
    /// Under either of its names.
    pub(super) fn take_reasoning(&mut self) -> Option<Text> {
        self.reasoning_content.take().or_else(|| self.reasoning.take())
    }
}

// === impl Token ===

impl Token {
    fn logprob(self) -> Logprob {
        let top = self.top_logprobs.unwrap_or_default().into_iter().map(|token| {
            let text = token.token.lossy();
            TopLogprob {
                bytes: token.bytes.unwrap_or_else(|| text.clone().into_bytes()),
                token: text,
                logprob: token.logprob,
            }
        });
        let text = self.token.lossy();
        Logprob {
            top_logprobs: top.collect(),
            bytes: self.bytes.unwrap_or_else(|| text.clone().into_bytes()),
            token: text,
            logprob: self.logprob,
        }
    }
}
