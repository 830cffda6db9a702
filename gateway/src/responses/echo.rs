//! What an answer repeats of its request: checked, and kept as it was written.

use openapi::responses::{Item, Response, Status};
use serde_json::value::RawValue;
use std::borrow::Cow;

use super::Error;
use super::node::{Node, Object};
use super::print::ObjectOut;
use crate::json::Kind;

const TOP_LOGPROBS_MAX: u64 = 20;
/// Strict clients fail on any other.
const TIERS: [&str; 7] = ["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"];

/// A Response but for what the model makes of it.
#[derive(Debug, Clone)]
pub struct Frame {
    response: Response,
    /// Says how its provider was chosen.
    is_explained: bool,
}

// === impl Frame ===

impl Frame {
    pub(super) fn read(request: &Object<'_>) -> Result<Self, Error> {
        let text = |name: &str| {
            let text = request.get(name).map(|node| node.string(name)).transpose();
            text.map(|text| text.map(Cow::into_owned))
        };
        let integer = |name: &str, min, max| {
            request.get(name).map(|node| node.integer(name, min, max)).transpose()
        };
        let number = |name: &str| -> Result<_, Error> {
            Ok(request.get(name).map(|node| node.number(name)).transpose()?.map(raw))
        };
        let parallel = request.get("parallel_tool_calls");
        let parallel = parallel.map(|node| node.bool("parallel_tool_calls")).transpose()?;
        let tools = request.get("tools");
        let response = Response {
            id: String::new(),
            object: "response".to_owned(),
            created_at: 0,
            completed_at: None,
            status: Status::InProgress,
            background: false,
            error: None,
            incomplete_details: None,
            instructions: text("instructions")?,
            max_output_tokens: integer("max_output_tokens", 1, u64::MAX)?,
            max_tool_calls: integer("max_tool_calls", 0, i64::MAX.unsigned_abs())?,
            metadata: metadata(request)?,
            model: request.need("", "model")?.string("model")?.into_owned(),
            output: Vec::new(),
            parallel_tool_calls: parallel.unwrap_or(true),
            previous_response_id: None,
            prompt_cache_key: text("prompt_cache_key")?,
            reasoning: reasoning(request)?,
            safety_identifier: text("safety_identifier")?,
            service_tier: text("service_tier")?.filter(|tier| is_known(tier)),
            store: false,
            temperature: number("temperature")?,
            text: format(request)?,
            tool_choice: request.get("tool_choice").map_or_else(|| json("\"auto\""), raw),
            tools: tools.map_or_else(|| json("[]"), raw),
            top_logprobs: integer("top_logprobs", 0, TOP_LOGPROBS_MAX)?.unwrap_or(0),
            top_p: number("top_p")?,
            truncation: "disabled".to_owned(),
            usage: None,
            user: text("user")?,
            quorate: None,
        };
        Ok(Self { response, is_explained: false })
    }

    /// The answer's name and time. `request_id` is what the request is called.
    #[must_use]
    pub fn named(mut self, request_id: &str, created_at: i64) -> Self {
        let base = request_id.strip_prefix("req_").unwrap_or(request_id);
        self.response.id = format!("resp_{base}");
        self.response.created_at = created_at;
        self
    }

    /// What it holds of the request, about.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        let Response { instructions, metadata, reasoning, text, tool_choice, tools, .. } =
            &self.response;
        let raw = [metadata, reasoning, text, tool_choice, tools];
        let raw: usize = raw.into_iter().map(|json| json.get().len()).sum();
        raw + instructions.as_ref().map_or(0, String::len)
    }

    /// What its items' names are made of.
    pub(super) fn base(&self) -> &str {
        self.response.id.strip_prefix("resp_").unwrap_or(&self.response.id)
    }

    pub(super) fn set_model(&mut self, model: String) {
        self.response.model = model;
    }

    /// The tier that was used; the asked-for one stays where the provider's is none of OpenAI's.
    pub(super) fn set_service_tier(&mut self, tier: String) {
        if is_known(&tier) {
            self.response.service_tier = Some(tier);
        }
    }

    /// Says how its provider was chosen, where the answer does.
    #[must_use]
    pub fn explained(mut self, is_explained: bool) -> Self {
        self.is_explained = is_explained;
        self
    }

    /// The gateway's own word comes last; a provider's is nobody's.
    pub(super) fn set_quorate(&mut self, explanation: Box<RawValue>) {
        if self.is_explained {
            self.response.quorate = Some(explanation);
        }
    }

    pub(super) fn response(&self, status: Status, output: Vec<Item>) -> Response {
        Response { status, output, ..self.response.clone() }
    }
}

fn is_known(tier: &str) -> bool {
    TIERS.contains(&tier)
}

/// Strings by string, as OpenAI's; {} where there is none.
fn metadata(request: &Object<'_>) -> Result<Box<RawValue>, Error> {
    let Some(node) = request.get("metadata") else { return Ok(json("{}")) };
    for member in node.object("metadata")?.members() {
        member.value.of(Kind::String, &format!("metadata.{}", member.name), "a string")?;
    }
    Ok(raw(node))
}

/// As it was sent, with the members that OpenAI's always has.
fn reasoning(request: &Object<'_>) -> Result<Box<RawValue>, Error> {
    if let Some(sent) = request.get("reasoning")
        && let Some(summary) = sent.object("reasoning")?.get("summary")
    {
        summary.string("reasoning.summary")?;
    }
    with_default(request, "reasoning", &[("effort", "null"), ("summary", "null")])
}

fn format(request: &Object<'_>) -> Result<Box<RawValue>, Error> {
    with_default(request, "text", &[("format", "{\"type\":\"text\"}")])
}

fn with_default(
    request: &Object<'_>,
    name: &str,
    defaults: &[(&str, &str)],
) -> Result<Box<RawValue>, Error> {
    let sent = match request.get(name) {
        Some(node) => node.object(name)?,
        None => Object::default(),
    };
    let mut out = ObjectOut::new();
    for (name, default) in defaults {
        out.raw(name, sent.get(name).map_or(default, |node| node.text));
    }
    for member in sent.members() {
        if !defaults.iter().any(|(name, _)| *name == member.name) {
            out.keep(member.key, member.value.text);
        }
    }
    Ok(json(&out.end()))
}

fn raw(node: Node<'_>) -> Box<RawValue> {
    json(node.text)
}

/// Only given what was read as JSON before.
fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
