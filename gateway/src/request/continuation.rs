//! What is put into a request so that another upstream goes on with an answer that one began.

use bytes::Bytes;
use openapi::resume::{Extension, MEMBER, Resume};
use serde_json::json;

use super::probe::Spots;
use crate::json::Span;
use crate::stream::splice::{Edit, Edits, insert_first, replace};

/// How the upstream is told what there is of the answer already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuation<'a> {
    /// Our own nodes: the tokens, to go on with the very next one.
    Resume(&'a Resume),
    /// Servers that know `continue_final_message`: the text, as the beginning of the assistant's turn.
    /// Its tokens, as far as they are known, are taken from the limit.
    Prefill { text: &'a str, tokens: u64 },
}

/// By which a server is told that the last message is to be gone on with.
const FLAGS: [&str; 2] = ["continue_final_message", "add_generation_prompt"];

impl Continuation<'_> {
    /// Whether a text can be gone on with: not where the client itself says something about that.
    pub fn fits(body: &Bytes) -> bool {
        FLAGS.iter().all(|flag| memchr::memmem::find(body, flag.as_bytes()).is_none())
    }

    pub(super) fn splice(self, body: &Bytes, spots: &Spots, edits: &mut Edits) {
        let put_in = |member: &str| insert_first(body, spots.open, member);
        match self {
            Self::Resume(resume) => {
                let extension = Extension { resume: Some(resume.clone()) };
                let value = serde_json::to_string(&extension).unwrap_or_default();
                edits.push(put_in(&format!("\"{MEMBER}\":{value}")));
            }
            Self::Prefill { text, tokens } => {
                let [go_on, prompt] = FLAGS;
                edits.push(put_in(&format!("\"{go_on}\":true,\"{prompt}\":false")));
                edits.extend(spots.messages.and_then(|messages| turn(messages, text)));
                // Of two limits the newer holds; the dialect takes the other out.
                let limits = [spots.max_completion_tokens, spots.max_tokens];
                let mut limits = limits.into_iter().flatten();
                edits.extend(limits.find_map(|spot| less(body, spot.value, tokens)));
            }
        }
    }
}

/// The assistant's turn, behind the last message.
fn turn(messages: Span, text: &str) -> Option<Edit> {
    // There is one: a request without messages is refused.
    let end = messages.end.checked_sub(1)?;
    let turn = json!({"role": "assistant", "content": text});
    Some(replace(Span { start: end, end }, format!(",{turn}").into()))
}

/// A limit that leaves room for at least one more token.
fn less(body: &Bytes, value: Span, tokens: u64) -> Option<Edit> {
    let limit: u64 = std::str::from_utf8(value.of(body)).ok()?.parse().ok()?;
    Some(replace(value, limit.saturating_sub(tokens).max(1).to_string().into()))
}
