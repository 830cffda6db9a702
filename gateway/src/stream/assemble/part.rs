//! One choice of a whole answer, as it grows.

use super::fold::Fold;
use crate::json::Span;
use crate::stream::Error;
use crate::stream::shape::{Choice, Piece, Tool};

/// Text as JSON, escapes as they came, without quotes; `None` until some came, be it empty.
pub(super) type Joined = Option<Vec<u8>>;

#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) content: Joined,
    pub(super) refusal: Joined,
    pub(super) reasoning: Joined,
    pub(super) function_name: Joined,
    pub(super) function_arguments: Joined,
    pub(super) calls: Vec<Call>,
    pub(super) logprobs: Fold,
    /// Of the choice, beside what is known.
    pub(super) extra: Fold,
    /// Of the message, beside what is known.
    pub(super) message_extra: Fold,
}

#[derive(Debug, Default)]
pub(super) struct Call {
    pub(super) index: u32,
    pub(super) id: Joined,
    pub(super) kind: Joined,
    pub(super) name: Joined,
    pub(super) arguments: Joined,
    pub(super) extra: Fold,
}

// === impl Part ===

impl Part {
    /// Takes what one event says of this choice; returns the bytes kept beside text.
    pub(super) fn take(
        &mut self,
        json: &[u8],
        choice: &Choice,
        legacy: bool,
    ) -> Result<u64, Error> {
        let content = if legacy { choice.text } else { choice.content };
        join(json, content, &mut self.content, "content")?;
        join(json, choice.refusal, &mut self.refusal, "refusal")?;
        join(json, choice.reasoned(), &mut self.reasoning, "reasoning")?;
        join(json, choice.function_arguments, &mut self.function_arguments, "arguments")?;
        once(json, choice.function_name, &mut self.function_name);
        let mut kept = 0;
        for tool in &choice.tools {
            kept += self.take_tool(json, tool)?;
        }
        if let Piece::Other(span) = choice.logprobs {
            kept += self.logprobs.take_members(span.of(json), &[]);
        }
        if choice.extra {
            let known: [&[u8]; 5] = [b"index", b"finish_reason", b"logprobs", b"text", b"delta"];
            kept += self.extra.take_members(choice.span.of(json), &known);
        }
        if let (true, Some(delta)) = (choice.delta_extra, choice.delta) {
            let known: [&[u8]; 7] = [
                b"role",
                b"content",
                b"reasoning",
                b"reasoning_content",
                b"refusal",
                b"tool_calls",
                b"function_call",
            ];
            kept += self.message_extra.take_members(delta.of(json), &known);
        }
        Ok(kept)
    }

    fn take_tool(&mut self, json: &[u8], tool: &Tool) -> Result<u64, Error> {
        let index = tool.index.unwrap_or(0);
        let at = match self.calls.iter().position(|call| call.index == index) {
            Some(at) => at,
            None => {
                self.calls.push(Call { index, ..Call::default() });
                self.calls.len() - 1
            }
        };
        let Some(call) = self.calls.get_mut(at) else { return Ok(0) };
        once(json, tool.id, &mut call.id);
        once(json, tool.kind, &mut call.kind);
        once(json, tool.name, &mut call.name);
        join(json, tool.arguments, &mut call.arguments, "arguments")?;
        // The entry itself, against a provider that sends nothing but empty ones.
        let mut kept = 32;
        if tool.extra {
            let known: [&[u8]; 4] = [b"index", b"id", b"type", b"function"];
            kept += call.extra.take_members(tool.span.of(json), &known);
        }
        Ok(kept)
    }
}

/// Appends text.
fn join(json: &[u8], piece: Piece, to: &mut Joined, member: &'static str) -> Result<(), Error> {
    match piece {
        Piece::Text(text) => {
            to.get_or_insert_default().extend_from_slice(text.span.of(json));
            Ok(())
        }
        Piece::Other(_) if piece.carries() => Err(Error::NotText { member }),
        _ => Ok(()),
    }
}

/// Takes the first text that is not empty: some providers repeat a name on every fragment.
fn once(json: &[u8], piece: Piece, to: &mut Joined) {
    if let (Some(text), None) = (piece.text(), &to) {
        *to = Some(Span::of(text.span, json).to_vec());
    }
}
