//! Providers' quirks in one choice, each mended by rewriting just what is wrong.

use bytes::Bytes;
use openapi::chat::FinishReason;

use super::calls::Calls;
use super::finish::{self, Reading};
use super::shape::{Choice, Form, Piece, Tool};
use super::splice::{Edits, insert_first, remove, replace};
use crate::json::Span;

/// What one choice has been through so far.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) seen: bool,
    pub(crate) finish: Option<FinishReason>,
    called: bool,
    calls: Calls,
}

/// The provider says this generation failed; its word for it.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) String);

// === impl State ===

impl State {
    /// Mends one choice of an event and takes note of it. `index`: which choice it is. `opening`: a
    /// first delta without a role gets one.
    pub(crate) fn mend(
        &mut self,
        json: &[u8],
        choice: &mut Choice,
        index: u32,
        opening: bool,
        edits: &mut Edits,
    ) -> Result<(), Failed> {
        let first = !std::mem::replace(&mut self.seen, true);
        self.members(json, choice, index, edits);
        if choice.text == Piece::Absent
            && let Some(delta) = choice.delta
        {
            let wants_role = first && opening && choice.role == Piece::Absent;
            within(json, choice, delta, wants_role, edits);
            reasoning(json, choice, edits);
        }
        self.called |= !choice.tools.is_empty();
        for (number, tool) in choice.tools.iter_mut().enumerate() {
            match choice.form {
                Form::Delta => self.number(json, tool, edits),
                Form::Message => name_call(json, tool, index, number, edits),
            }
        }
        self.finish(json, choice.finish, edits)
    }

    /// The choice's own members that must be there. What is put in goes in at once: a second member
    /// for an empty object would miss its comma.
    fn members(&self, json: &[u8], choice: &mut Choice, index: u32, edits: &mut Edits) {
        let mut missing = String::new();
        if choice.index.replace(index).is_none() {
            match choice.index_value {
                Some(value) => edits.push(replace(value, index.to_string().into())),
                None => missing = format!("\"index\":{index}"),
            }
        }
        if choice.text == Piece::Absent && choice.delta.is_none() {
            let (name, empty) = match choice.form {
                Form::Delta => ("delta", "{}"),
                Form::Message => ("message", "{\"role\":\"assistant\",\"content\":null}"),
            };
            match choice.delta_other {
                // Clients read `choices[0].delta.content` without asking whether there is a delta.
                Some(value) => edits.push(replace(value, Bytes::from_static(empty.as_bytes()))),
                None => {
                    let comma = if missing.is_empty() { "" } else { "," };
                    missing = format!("{missing}{comma}\"{name}\":{empty}");
                }
            }
        }
        if !missing.is_empty() {
            edits.push(insert_first(json, choice.open, &missing));
        }
    }

    /// Gives a fragment of a call its true index.
    fn number(&mut self, json: &[u8], tool: &mut Tool, edits: &mut Edits) {
        let id = tool.id.text().map_or(&[][..], |id| id.span.of(json));
        let index = self.calls.index(tool.index, id, tool.name.carries());
        if tool.index == Some(index) {
            return;
        }
        edits.push(match tool.index_value {
            Some(value) => replace(value, index.to_string().into()),
            None => insert_first(json, tool.open, &format!("\"index\":{index}")),
        });
        tool.index = Some(index);
    }

    fn finish(&mut self, json: &[u8], piece: Piece, edits: &mut Edits) -> Result<(), Failed> {
        let text = match piece {
            Piece::Absent | Piece::Null(_) => return Ok(()),
            Piece::Text(text) => text,
            Piece::Other(span) => {
                edits.push(replace(span, Bytes::from_static(b"null")));
                return Ok(());
            }
        };
        let word = text.decode(json).unwrap_or_default();
        let (reason, own) = match finish::read(&word) {
            Reading::NotYet => {
                edits.push(replace(text.quoted(), Bytes::from_static(b"null")));
                return Ok(());
            }
            Reading::Failure => return Err(Failed(word.into_owned())),
            Reading::Own(reason) => (reason, true),
            Reading::Foreign(reason) => (reason, false),
        };
        let mended = if reason == FinishReason::Stop && self.called {
            FinishReason::ToolCalls
        } else {
            reason
        };
        if !own || mended != reason {
            let text_of_it = Bytes::from_static(finish::json(mended).as_bytes());
            edits.push(replace(text.quoted(), text_of_it));
        }
        self.finish = Some(mended);
        Ok(())
    }
}

/// A role where one is wanted, and no list of calls that holds none: clients that ask only whether
/// the list is there take it for calls, and loop.
fn within(json: &[u8], choice: &Choice, delta: Span, wants_role: bool, edits: &mut Edits) {
    const ROLE: &str = "\"role\":\"assistant\"";
    match choice.no_tools {
        Some(calls) if wants_role => {
            edits.push(replace(calls, Bytes::from_static(ROLE.as_bytes())))
        }
        Some(calls) => edits.push(remove(json, calls.start, calls.end)),
        None if wants_role => edits.push(insert_first(json, delta.start + 1, ROLE)),
        None => {}
    }
}

/// A whole call has an id to answer it by, and a type. (In a stream either may still come.)
fn name_call(json: &[u8], tool: &Tool, choice: u32, number: usize, edits: &mut Edits) {
    let mut missing = String::new();
    let id = format!("\"call_{choice}_{number}\"");
    for (piece, name, value) in [(tool.id, "id", id.as_str()), (tool.kind, "type", "\"function\"")]
    {
        match piece {
            Piece::Absent => {
                let comma = if missing.is_empty() { "" } else { "," };
                missing = format!("{missing}{comma}\"{name}\":{value}");
            }
            Piece::Null(span) => edits.push(replace(span, value.to_owned().into())),
            Piece::Text(text) if text.is_empty() => {
                edits.push(replace(text.quoted(), value.to_owned().into()));
            }
            Piece::Text(_) | Piece::Other(_) => {}
        }
    }
    if !missing.is_empty() {
        edits.push(insert_first(json, tool.open, &missing));
    }
}

/// Reasoning goes by two names, and clients read one or the other: the text gets both.
fn reasoning(json: &[u8], choice: &Choice, edits: &mut Edits) {
    let (text, name, twin) = match (choice.reasoning_content.text(), choice.reasoning.text()) {
        (Some(text), None) => (text, "reasoning", choice.reasoning),
        (None, Some(text)) => (text, "reasoning_content", choice.reasoning_content),
        _ => return,
    };
    let quoted = text.quoted().of(json);
    match twin {
        Piece::Absent => {
            let at = text.quoted().end;
            let mut member = Vec::with_capacity(name.len() + quoted.len() + 4);
            for part in [b",\"", name.as_bytes(), b"\":", quoted] {
                member.extend_from_slice(part);
            }
            edits.push(replace(Span { start: at, end: at }, member.into()));
        }
        Piece::Null(value) => edits.push(replace(value, Bytes::copy_from_slice(quoted))),
        Piece::Text(empty) => edits.push(replace(empty.quoted(), Bytes::copy_from_slice(quoted))),
        // Something of the provider's own under that name.
        Piece::Other(_) => {}
    }
}
