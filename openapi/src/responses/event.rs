//! The events of a streamed answer. Each is sent as an `event:` line with its type and a `data:` line
//! with this JSON; `sequence_number` counts from 0 without gaps. No `[DONE]` follows the last.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Item, Logprob, Part, Response};

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident = $text:literal { $($field:ident: $kind:ty,)* },)+) => {
        /// `response.completed`, `response.incomplete` or `response.failed` is the last.
        #[derive(Debug, Clone, Serialize, ToSchema)]
        #[serde(tag = "type")]
        #[schema(as = ResponseStreamEvent)]
        pub enum Event {
            $(
                $(#[$doc])*
                #[serde(rename = $text)]
                $variant { sequence_number: u64, $($field: $kind,)* },
            )+
        }

        impl Event {
            /// Its `type`.
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $text,)+ }
            }
        }
    };
}

events! {
    Created = "response.created" { response: Box<Response>, },
    InProgress = "response.in_progress" { response: Box<Response>, },
    OutputItemAdded = "response.output_item.added" { output_index: usize, item: Item, },
    ContentPartAdded = "response.content_part.added" {
        item_id: String, output_index: usize, content_index: usize, part: Part,
    },
    TextDelta = "response.output_text.delta" {
        item_id: String, output_index: usize, content_index: usize,
        delta: String, logprobs: Vec<Logprob>,
    },
    TextDone = "response.output_text.done" {
        item_id: String, output_index: usize, content_index: usize,
        text: String, logprobs: Vec<Logprob>,
    },
    RefusalDelta = "response.refusal.delta" {
        item_id: String, output_index: usize, content_index: usize, delta: String,
    },
    RefusalDone = "response.refusal.done" {
        item_id: String, output_index: usize, content_index: usize, refusal: String,
    },
    ReasoningDelta = "response.reasoning_text.delta" {
        item_id: String, output_index: usize, content_index: usize, delta: String,
    },
    ReasoningDone = "response.reasoning_text.done" {
        item_id: String, output_index: usize, content_index: usize, text: String,
    },
    ContentPartDone = "response.content_part.done" {
        item_id: String, output_index: usize, content_index: usize, part: Part,
    },
    ArgumentsDelta = "response.function_call_arguments.delta" {
        item_id: String, output_index: usize, delta: String,
    },
    ArgumentsDone = "response.function_call_arguments.done" {
        item_id: String, output_index: usize, name: String, arguments: String,
    },
    OutputItemDone = "response.output_item.done" { output_index: usize, item: Item, },
    Completed = "response.completed" { response: Box<Response>, },
    Incomplete = "response.incomplete" { response: Box<Response>, },
    Failed = "response.failed" { response: Box<Response>, },
}
