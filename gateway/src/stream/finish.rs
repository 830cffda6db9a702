//! Finish reasons: the five OpenAI knows, and what others mean by theirs. Strict clients refuse a
//! value they do not know, so a foreign one is mended.

use openapi::chat::FinishReason;

/// What a provider's `finish_reason` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Not finished, spelled in some other way than null.
    NotYet,
    /// One of OpenAI's own.
    Own(FinishReason),
    /// A foreign word for one of them.
    Foreign(FinishReason),
    /// The generation failed or was broken off: not an answer.
    Failure,
}

/// Reads the text of a `finish_reason`.
pub(crate) fn read(text: &str) -> Reading {
    use FinishReason::{ContentFilter, FunctionCall, Length, Stop, ToolCalls};
    match text {
        "stop" => return Reading::Own(Stop),
        "length" => return Reading::Own(Length),
        "tool_calls" => return Reading::Own(ToolCalls),
        "content_filter" => return Reading::Own(ContentFilter),
        "function_call" => return Reading::Own(FunctionCall),
        "" => return Reading::NotYet,
        _ => {}
    }
    match text.to_ascii_lowercase().as_str() {
        "null" | "none" => Reading::NotYet,
        "length" | "max_tokens" | "max_length" | "max_new_tokens" | "model_length"
        | "max_output_tokens" | "length_limit" | "truncated" => Reading::Foreign(Length),
        "tool_call" | "tool_calls" | "tool_use" | "tooluse" | "tools" => {
            Reading::Foreign(ToolCalls)
        }
        "function_call" => Reading::Foreign(FunctionCall),
        "content_filter" | "content_filtered" | "safety" | "recitation" | "refusal" | "blocked"
        | "prohibited_content" => Reading::Foreign(ContentFilter),
        "error" | "abort" | "aborted" | "cancelled" | "canceled" | "failed" | "timeout" => {
            Reading::Failure
        }
        // eos, eos_token, end_turn, stop_sequence, complete, …
        _ => Reading::Foreign(Stop),
    }
}

/// The JSON text of a reason.
pub(crate) fn json(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "\"stop\"",
        FinishReason::Length => "\"length\"",
        FinishReason::ToolCalls => "\"tool_calls\"",
        FinishReason::ContentFilter => "\"content_filter\"",
        FinishReason::FunctionCall => "\"function_call\"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_others_use() {
        use FinishReason::{ContentFilter, Length, Stop, ToolCalls};
        for (text, reason) in [
            ("eos", Stop),
            ("eos_token", Stop),
            ("end_turn", Stop),
            ("STOP", Stop),
            ("max_tokens", Length),
            ("MAX_TOKENS", Length),
            ("tool_use", ToolCalls),
            ("SAFETY", ContentFilter),
        ] {
            assert_eq!(read(text), Reading::Foreign(reason), "{text}");
        }
        assert_eq!(read(""), Reading::NotYet);
        assert_eq!(read("abort"), Reading::Failure);
    }

    #[test]
    fn openais_own_are_left_alone() {
        for reason in [
            FinishReason::Stop,
            FinishReason::Length,
            FinishReason::ToolCalls,
            FinishReason::ContentFilter,
            FinishReason::FunctionCall,
        ] {
            assert_eq!(serde_json::to_string(&reason).unwrap(), json(reason));
            assert_eq!(read(json(reason).trim_matches('"')), Reading::Own(reason));
        }
    }
}
