//! Where another upstream goes on with an answer: what of it the client must not see twice. One choice
//! only. After the seam nothing is handed on until it brings something new.

use openapi::usage::Usage;

use super::finish;
use super::shape::{Choice, Piece};
use super::splice::{Edits, replace};
use bytes::Bytes;

/// How the next upstream goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seam {
    /// With the very next token. It speaks of the whole answer.
    Exact,
    /// With text that follows on the text before. It takes that for a part of its prompt.
    Prefill {
        /// Tokens of the answer before.
        tokens: u64,
        /// White space at the end of what the client has and the upstream was not given; it may come
        /// again.
        blank: String,
    },
}

/// The seam while the stream is read.
#[derive(Debug, Default)]
pub(crate) struct Joint {
    /// Nothing new has come yet.
    is_open: bool,
    /// What may still come again.
    blank: String,
    /// Token ids told before.
    ids: usize,
}

/// What becomes of an event behind the seam.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    /// It brings nothing new.
    Nothing,
    /// It does, and so does whatever follows; so many bytes of its text came again.
    News { again: usize },
}

// === impl Joint ===

impl Joint {
    pub(crate) fn open(&mut self, seam: Seam, ids: usize) {
        (self.is_open, self.ids) = (true, ids);
        self.blank = match seam {
            Seam::Exact => String::new(),
            Seam::Prefill { blank, .. } => blank,
        };
    }

    pub(crate) fn ids(&self) -> usize {
        self.ids
    }

    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Judges an event's only choice: the start of a stream (its role) is not repeated.
    pub(crate) fn judge(&mut self, json: &[u8], choice: &Choice) -> Behind {
        if !choice.carries() && !ends(json, choice) {
            return Behind::Nothing;
        }
        let again = self.again(json, choice);
        let text = choice.content.decoded_bytes();
        self.blank.drain(..again);
        let others = [choice.text, choice.refusal, choice.reasoning, choice.reasoning_content];
        let is_content_alone = !choice.calls() && others.iter().all(|piece| !piece.carries());
        if again > 0 && again == text && is_content_alone && !ends(json, choice) {
            return Behind::Nothing;
        }
        self.is_open = false;
        Behind::News { again }
    }

    /// Bytes of white space that the client has already.
    fn again(&self, json: &[u8], choice: &Choice) -> usize {
        let Some(text) = choice.content.text().and_then(|text| text.decode(json)) else { return 0 };
        let same = text.bytes().zip(self.blank.bytes()).take_while(|(a, b)| a == b).count();
        text.floor_char_boundary(same)
    }

    /// Takes out of the first event what the client has: the role, and so many bytes of its content.
    pub(crate) fn mend(json: &[u8], choice: &Choice, again: usize, edits: &mut Edits) {
        if let Piece::Text(role) = choice.role {
            edits.push(replace(role.quoted(), Bytes::from_static(b"null")));
        }
        if let (true, Piece::Text(text)) = (again > 0, choice.content)
            && let Some(decoded) = text.decode(json)
        {
            let rest = decoded.get(again..).unwrap_or_default();
            let rest = serde_json::to_vec(rest).unwrap_or_default();
            edits.push(replace(text.quoted(), rest.into()));
        }
    }
}

/// It has a finish reason, or says that the generation failed.
fn ends(json: &[u8], choice: &Choice) -> bool {
    let Some(word) = choice.finish.text().and_then(|text| text.decode(json)) else { return false };
    finish::read(&word) != finish::Reading::NotYet
}

/// The usage of the whole answer, where the upstream took the first `tokens` of it for its prompt.
pub(super) fn whole(mut usage: Usage, tokens: u64) -> Usage {
    usage.prompt_tokens = usage.prompt_tokens.saturating_sub(tokens);
    usage.completion_tokens = usage.completion_tokens.saturating_add(tokens);
    usage
}
