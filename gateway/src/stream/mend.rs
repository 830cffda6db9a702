//! Providers' quirks in one choice, each mended by rewriting just what is wrong.

use bytes::Bytes;
use openapi::chat::FinishReason;

use super::calls::Calls;
use super::finish::{self, Reading};
use super::shape::{Choice, Piece, Tool};
use super::splice::{Edits, insert_first, replace};

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
        if choice.index.is_none() {
            edits.push(match choice.index_value {
                Some(value) => replace(value, index.to_string().into()),
                None => insert_first(json, choice.open, &format!("\"index\":{index}")),
            });
            choice.index = Some(index);
        }
        if choice.text == Piece::Absent {
            match choice.delta {
                Some(delta) if first && opening && choice.role == Piece::Absent => {
                    edits.push(insert_first(json, delta.start + 1, "\"role\":\"assistant\""));
                }
                Some(_) => {}
                None => missing_delta(json, choice, edits),
            }
        }
        self.called |= !choice.tools.is_empty();
        for tool in &mut choice.tools {
            self.number(json, tool, edits);
        }
        self.finish(json, choice.finish, edits)
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

/// Clients read `choices[0].delta.content` without asking whether there is a delta.
fn missing_delta(json: &[u8], choice: &Choice, edits: &mut Edits) {
    edits.push(match choice.delta_other {
        Some(value) => replace(value, Bytes::from_static(b"{}")),
        None => insert_first(json, choice.open, "\"delta\":{}"),
    });
}
