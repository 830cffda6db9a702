//! Where each member of the chat request came from, so that an error about the one names the other.

use super::node::inside;

/// The request members whose chat counterpart is called otherwise.
const RENAMED: [(&str, &str); 6] = [
    ("response_format.json_schema", "text.format"),
    ("response_format", "text.format"),
    ("max_completion_tokens", "max_output_tokens"),
    ("reasoning_effort", "reasoning.effort"),
    ("verbosity", "text.verbosity"),
    ("logprobs", "include"),
];

/// One message's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Origin {
    /// The item it came from: `input[2]`, `instructions`.
    pub(super) item: String,
    /// Where in it the content stands, after a dot; empty where the item is the content.
    pub(super) content: &'static str,
    /// The items its tool calls came from.
    pub(super) calls: Vec<String>,
}

/// All of a request's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(Vec<Origin>);

// === impl Origins ===

impl Origins {
    pub(super) fn push(&mut self, origin: Origin) {
        self.0.push(origin);
    }

    /// The path in the request of what a chat request calls `param`.
    #[must_use]
    pub fn param(&self, param: &str) -> String {
        if let Some(rest) = param.strip_prefix("messages") {
            return self.message(rest);
        }
        if let Some(rest) = param.strip_prefix("tools[") {
            return format!("tools[{}", rest.replace("].function", "]"));
        }
        if let Some(rest) = param.strip_prefix("tool_choice.function") {
            return format!("tool_choice{rest}");
        }
        let renamed = RENAMED.iter().find_map(|(chat, ours)| {
            let rest = param.strip_prefix(chat)?;
            (rest.is_empty() || rest.starts_with(['.', '['])).then(|| format!("{ours}{rest}"))
        });
        renamed.unwrap_or_else(|| param.to_owned())
    }

    /// `rest` follows `messages`: nothing, or `[2].content[0].text`.
    fn message(&self, rest: &str) -> String {
        let found = index(rest).and_then(|(index, rest)| Some((self.0.get(index)?, rest)));
        let Some((origin, rest)) = found else { return "input".to_owned() };
        let Origin { item, content, calls } = origin;
        if let Some((call, _)) = rest.strip_prefix(".tool_calls").and_then(index) {
            let call = calls.get(call).unwrap_or(item);
            let last = rest.rsplit('.').next().filter(|name| matches!(*name, "name" | "arguments"));
            return last.map_or_else(|| call.clone(), |name| inside(call, name));
        }
        match rest.strip_prefix(".content") {
            _ if content.is_empty() => item.clone(),
            Some(rest) => inside(item, content) + &rest.replace(".image_url.url", ".image_url"),
            None if rest == ".role" && *content == "content" => inside(item, "role"),
            None if rest == ".tool_call_id" => inside(item, "call_id"),
            None => item.clone(),
        }
    }
}

/// Splits `[12]rest`.
fn index(text: &str) -> Option<(usize, &str)> {
    let (number, rest) = text.strip_prefix('[')?.split_once(']')?;
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_about_the_chat_request_names_the_member_that_was_sent() {
        let mut origins = Origins::default();
        for (item, content, calls) in [
            ("instructions", "", vec![]),
            ("input[0]", "content", vec![]),
            ("input[1]", "content", vec!["input[2]".to_owned()]),
            ("input[3]", "output", vec![]),
        ] {
            origins.push(Origin { item: item.to_owned(), content, calls });
        }
        for (chat, ours) in [
            ("messages[0].content", "instructions"),
            ("messages[1].content[2].text", "input[0].content[2].text"),
            ("messages[1].content[0].image_url.url", "input[0].content[0].image_url"),
            ("messages[1].role", "input[0].role"),
            ("messages[2].tool_calls[0].function.arguments", "input[2].arguments"),
            ("messages[2].tool_calls[0].id", "input[2]"),
            ("messages[3].tool_call_id", "input[3].call_id"),
            ("messages[3].content[0].text", "input[3].output[0].text"),
            ("messages[9].content", "input"),
            ("messages", "input"),
            ("max_completion_tokens", "max_output_tokens"),
            ("response_format", "text.format"),
            ("response_format.type", "text.format.type"),
            ("response_format.json_schema.schema", "text.format.schema"),
            ("reasoning_effort", "reasoning.effort"),
            ("tools[3].function.name", "tools[3].name"),
            ("tools[3].type", "tools[3].type"),
            ("tool_choice.function.name", "tool_choice.name"),
            ("tool_choice", "tool_choice"),
            ("logprobs", "include"),
            ("logprobs_mode", "logprobs_mode"),
            ("temperature", "temperature"),
            ("", ""),
        ] {
            assert_eq!(origins.param(chat), ours, "{chat}");
        }
    }
}
