//! What one choice of an answer says, as a digest: for whoever has the answer checked. Made of answers that
//! are drawn for it alone, since it decodes the text; a text that cannot be decoded has none.

use openapi::verify::TextHash;

use super::shape::{Choice, Piece};

#[derive(Debug)]
pub(crate) struct Digest {
    choice: u32,
    hash: TextHash,
    /// Some of it has no digest.
    is_broken: bool,
}

// === impl Digest ===

impl Digest {
    pub(crate) fn new(choice: u32) -> Self {
        Self { choice, hash: TextHash::default(), is_broken: false }
    }

    pub(crate) fn choice(&self) -> u32 {
        self.choice
    }

    /// Hex; absent where there is none.
    pub(crate) fn sha256(&self) -> Option<String> {
        (!self.is_broken).then(|| self.hash.clone().finish())
    }

    /// Takes the choice's part of an event. `is_again`: some of its text was there already.
    pub(crate) fn take(&mut self, json: &[u8], choices: &[Choice], is_again: bool) {
        self.is_broken |= is_again;
        for (position, choice) in (0u32..).zip(choices) {
            if choice.index.unwrap_or(position) == self.choice && choice.carries() {
                self.add(json, choice);
            }
        }
    }

    fn add(&mut self, json: &[u8], choice: &Choice) {
        let texts = [choice.content, choice.text, choice.reasoned(), choice.refusal];
        for piece in texts {
            self.text(json, piece);
        }
        self.call(json, choice.function_name, choice.function_arguments);
        for tool in &choice.tools {
            self.call(json, tool.name, tool.arguments);
        }
    }

    fn call(&mut self, json: &[u8], name: Piece, arguments: Piece) {
        if let Some(name) = self.decoded(json, name) {
            self.hash.call(&name);
        }
        self.text(json, arguments);
    }

    fn text(&mut self, json: &[u8], piece: Piece) {
        if let Some(text) = self.decoded(json, piece) {
            self.hash.text(&text);
        }
    }

    fn decoded<'a>(&mut self, json: &'a [u8], piece: Piece) -> Option<std::borrow::Cow<'a, str>> {
        let text = piece.text().and_then(|text| text.decode(json));
        self.is_broken |= piece.carries() && text.is_none();
        text
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use openapi::chat::FinishReason;
    use openapi::verify::TextHash;

    use crate::stream::{Fallback, Limits, Out, Plan, Relay, UsageMode};

    fn relay(choices: u32) -> Relay {
        Relay::new(Plan {
            model: "m".into(),
            identity: None,
            fallback: Fallback { id: "x".into(), created: 0 },
            usage: UsageMode::Strip,
            evidence: true,
            limits: Limits::default(),
            choices,
        })
    }

    fn event(choice: u32, rest: &str) -> String {
        format!("data: {{\"choices\":[{{\"index\":{choice},{rest}}}]}}\n\n")
    }

    #[test]
    fn a_digest_is_of_one_choice_as_it_is_decoded() {
        let mut relay = relay(2).checking(1);
        let mut out = Out::default();
        let events = [
            event(1, r#""delta":{"reasoning_content":"so\n"}"#),
            event(0, r#""delta":{"content":"other"}"#),
            event(1, r#""delta":{"content":"7 \u00e4"}"#),
            event(1, r#""delta":{"content":"!"}"#),
            event(
                1,
                r#""delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"get","arguments":"{\"a\""}}]}"#,
            ),
            event(1, r#""delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}"#),
            event(1, r#""delta":{},"finish_reason":"tool_calls""#),
        ];
        for event in events {
            relay.push(Bytes::from(event), &mut out).unwrap();
        }
        let mut expected = TextHash::default();
        expected.text("so\n7 ä!");
        expected.call("get");
        expected.text("{\"a\":1}");
        let checkable = relay.checkable().unwrap();
        assert_eq!(checkable.choice, 1);
        assert_eq!(checkable.text_sha256, Some(expected.finish()));
        assert_eq!(checkable.finish, Some(FinishReason::ToolCalls));
    }

    #[test]
    fn text_that_cannot_be_decoded_has_no_digest() {
        let mut relay = relay(1).checking(0);
        let mut out = Out::default();
        let lone = event(0, r#""delta":{"content":"\ud800"}"#);
        relay.push(Bytes::from(lone), &mut out).unwrap();
        assert_eq!(relay.checkable().unwrap().text_sha256, None);
        assert!(self::relay(1).checkable().is_none(), "nobody asked");
    }
}
