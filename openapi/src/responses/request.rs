//! The request of `POST /v1/responses`, as far as the gateway acts on it. For the contract: the gateway
//! itself reads the bytes, so that what it does not know reaches providers as it was written.

use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Every member but `model` and `input` may be absent or null. Unknown members are kept.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[schema(as = CreateResponse)]
pub struct Request {
    pub model: String,
    pub input: Input,
    /// A system message before the input.
    pub instructions: Option<String>,
    pub stream: Option<bool>,
    #[schema(minimum = 1)]
    pub max_output_tokens: Option<u64>,
    /// 0 to 2.
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    /// Shown only with `include: ["message.output_text.logprobs"]`.
    #[schema(maximum = 20)]
    pub top_logprobs: Option<u64>,
    pub include: Option<Vec<String>>,
    pub tools: Option<Vec<Tool>>,
    /// `none`, `auto`, `required`, `{"type":"function","name":…}`, or
    /// `{"type":"allowed_tools","mode":…,"tools":[…]}`.
    pub tool_choice: Option<Value>,
    pub parallel_tool_calls: Option<bool>,
    pub text: Option<TextConfig>,
    pub reasoning: Option<Reasoning>,
    pub metadata: Option<BTreeMap<String, String>>,
    /// No answer is stored: true is refused.
    pub store: Option<bool>,
    /// `disabled`; `auto` is refused.
    pub truncation: Option<String>,
    pub max_tool_calls: Option<u64>,
    pub user: Option<String>,
    pub safety_identifier: Option<String>,
    pub prompt_cache_key: Option<String>,
    pub service_tier: Option<String>,
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = ResponseInput)]
pub enum Input {
    Text(String),
    Items(Vec<InputItem>),
}

/// `type` is message (the default), `function_call`, `function_call_output` or reasoning.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[schema(as = ResponseInputItem)]
pub struct InputItem {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Of a message: user, system, developer or assistant.
    pub role: Option<String>,
    /// Of a message: text, or parts of type `input_text`, `input_image`, `input_audio`, `input_file`,
    /// `output_text` and refusal.
    pub content: Option<Value>,
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[schema(as = ResponseTool)]
pub struct Tool {
    /// `function`.
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    pub description: Option<String>,
    /// A JSON schema.
    #[schema(value_type = Option<Object>)]
    pub parameters: Option<Value>,
    pub strict: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[schema(as = ResponseTextConfig)]
pub struct TextConfig {
    pub format: Option<Format>,
    /// low, medium or high.
    pub verbosity: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[schema(as = ResponseTextFormat)]
pub struct Format {
    /// `text`, `json_object`, `json_schema`; ours: `regex`.
    #[serde(rename = "type")]
    pub kind: String,
    pub name: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub schema: Option<Value>,
    pub strict: Option<bool>,
    pub description: Option<String>,
    pub regex: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[schema(as = ResponseReasoning)]
pub struct Reasoning {
    pub effort: Option<String>,
    /// Accepted; reasoning is shown as the model wrote it, not as a summary.
    pub summary: Option<String>,
}
