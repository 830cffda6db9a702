//! The answer of `POST /v1/responses`. It carries every member of OpenAI's own that is required there.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Response)]
pub struct Response {
    pub id: String,
    /// Always `response`.
    pub object: String,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds; null unless `completed`.
    pub completed_at: Option<i64>,
    pub status: Status,
    /// Always false.
    pub background: bool,
    /// Of a `failed` answer.
    pub error: Option<Failure>,
    /// Of an `incomplete` answer.
    pub incomplete_details: Option<IncompleteDetails>,
    pub instructions: Option<String>,
    pub max_output_tokens: Option<u64>,
    pub max_tool_calls: Option<u64>,
    #[schema(value_type = Object)]
    pub metadata: Box<RawValue>,
    /// What answered.
    pub model: String,
    pub output: Vec<Item>,
    pub parallel_tool_calls: bool,
    /// Always null: no answer is stored.
    pub previous_response_id: Option<String>,
    pub prompt_cache_key: Option<String>,
    #[schema(value_type = Object)]
    pub reasoning: Box<RawValue>,
    pub safety_identifier: Option<String>,
    pub service_tier: Option<String>,
    /// Always false.
    pub store: bool,
    /// As asked for; null where the model's own default holds.
    #[schema(value_type = Option<f64>)]
    pub temperature: Option<Box<RawValue>>,
    #[schema(value_type = Object)]
    pub text: Box<RawValue>,
    /// `none`, `auto`, `required`, or an object.
    #[schema(value_type = serde_json::Value)]
    pub tool_choice: Box<RawValue>,
    #[schema(value_type = Vec<Object>)]
    pub tools: Box<RawValue>,
    pub top_logprobs: u64,
    /// As asked for; null where the model's own default holds.
    #[schema(value_type = Option<f64>)]
    pub top_p: Option<Box<RawValue>>,
    /// Always `disabled`.
    pub truncation: String,
    /// Null where the provider did not say.
    pub usage: Option<Usage>,
    pub user: Option<String>,
    /// How its provider was chosen, for who asks with `x-quorate-explain: 1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<crate::explain::Quorate>)]
    pub quorate: Option<Box<RawValue>>,
}

/// Of an answer or of one of its items; an item is never `failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ResponseStatus)]
pub enum Status {
    InProgress,
    Completed,
    Incomplete,
    Failed,
}

/// Why an answer failed after it had begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ResponseError)]
pub struct Failure {
    /// `server_error`, `rate_limit_exceeded` or `invalid_prompt`.
    pub code: String,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ResponseIncompleteDetails)]
pub struct IncompleteDetails {
    pub reason: IncompleteReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ResponseIncompleteReason)]
pub enum IncompleteReason {
    MaxOutputTokens,
    ContentFilter,
}

/// One item of the output.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(as = ResponseOutputItem)]
pub enum Item {
    #[schema(title = "ResponseReasoningItem")]
    Reasoning {
        id: String,
        /// Always empty: reasoning is shown as the model wrote it.
        summary: Vec<SummaryText>,
        content: Vec<ReasoningText>,
        status: Status,
    },
    #[schema(title = "ResponseOutputMessage")]
    Message { id: String, role: Role, status: Status, content: Vec<Part> },
    #[schema(title = "ResponseFunctionCall")]
    FunctionCall {
        id: String,
        call_id: String,
        name: String,
        /// A JSON object, as text.
        arguments: String,
        status: Status,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ResponseOutputRole)]
pub enum Role {
    Assistant,
}

/// A part of an item.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(as = ResponsePart)]
pub enum Part {
    #[schema(title = "ResponseOutputText")]
    OutputText {
        text: String,
        /// Always empty.
        #[schema(value_type = Vec<Object>)]
        annotations: Vec<Box<RawValue>>,
        /// Empty unless `include` asks for them.
        logprobs: Vec<Logprob>,
    },
    #[schema(title = "ResponseOutputRefusal")]
    Refusal { refusal: String },
    /// Only of reasoning items.
    #[schema(title = "ResponseReasoningPart")]
    ReasoningText { text: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "type", rename = "reasoning_text")]
#[schema(as = ResponseReasoningText)]
pub struct ReasoningText {
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "type", rename = "summary_text")]
#[schema(as = ResponseSummaryText)]
pub struct SummaryText {
    pub text: String,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ResponseLogprob)]
pub struct Logprob {
    pub token: String,
    #[schema(value_type = f64)]
    pub logprob: Box<RawValue>,
    pub bytes: Vec<u8>,
    pub top_logprobs: Vec<TopLogprob>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ResponseTopLogprob)]
pub struct TopLogprob {
    pub token: String,
    #[schema(value_type = f64)]
    pub logprob: Box<RawValue>,
    pub bytes: Vec<u8>,
}

/// Tokens of one answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ResponseUsage)]
pub struct Usage {
    pub input_tokens: u64,
    pub input_tokens_details: InputTokensDetails,
    pub output_tokens: u64,
    pub output_tokens_details: OutputTokensDetails,
    pub total_tokens: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ResponseInputTokensDetails)]
pub struct InputTokensDetails {
    pub cached_tokens: u64,
    pub cache_write_tokens: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ResponseOutputTokensDetails)]
pub struct OutputTokensDetails {
    pub reasoning_tokens: u64,
}
