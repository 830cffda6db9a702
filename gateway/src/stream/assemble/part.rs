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
    /// Takes what one event says of this choice; returns the bytes kept of it.
    pub(super) fn take(
        &mut self,
        json: &[u8],
        choice: &Choice,
        legacy: bool,
    ) -> Result<u64, Error> {
        let content = if legacy { choice.text } else { choice.content };
        let mut kept = join(json, content, &mut self.content, "content")?;
        kept += join(json, choice.refusal, &mut self.refusal, "refusal")?;
        kept += join(json, choice.reasoned(), &mut self.reasoning, "reasoning")?;
        kept += join(json, choice.function_arguments, &mut self.function_arguments, "arguments")?;
        kept += once(json, choice.function_name, &mut self.function_name);
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
        let mut kept = 0;
        let at = match self.calls.iter().position(|call| call.index == index) {
            Some(at) => at,
            None => {
                self.calls.push(Call { index, ..Call::default() });
                kept += size_of::<Call>() as u64;
                self.calls.len() - 1
            }
        };
        let Some(call) = self.calls.get_mut(at) else { return Ok(0) };
        kept += once(json, tool.id, &mut call.id);
        kept += once(json, tool.kind, &mut call.kind);
        kept += once(json, tool.name, &mut call.name);
        kept += join(json, tool.arguments, &mut call.arguments, "arguments")?;
        if tool.extra {
            let known: [&[u8]; 4] = [b"index", b"id", b"type", b"function"];
            kept += call.extra.take_members(tool.span.of(json), &known);
        }
        Ok(kept)
    }
}

/// Appends text; returns how much.
fn join(json: &[u8], piece: Piece, to: &mut Joined, member: &'static str) -> Result<u64, Error> {
    match piece {
        Piece::Text(text) => {
            let text = text.span.of(json);
            to.get_or_insert_default().extend_from_slice(text);
            Ok(text.len() as u64)
        }
        Piece::Other(_) if piece.carries() => Err(Error::NotText { member }),
        _ => Ok(0),
    }
}

/// Takes the first text that is not empty: some providers repeat a name on every fragment. Returns
/// how much was taken.
fn once(json: &[u8], piece: Piece, to: &mut Joined) -> u64 {
    let (Some(text), None) = (piece.text(), &to) else { return 0 };
    let text = Span::of(text.span, json).to_vec();
    let kept = text.len() as u64;
    *to = Some(text);
    kept
}
