//! What of a resumed answer its caller has already: so many ids, so many bytes of text. The answer is
//! made again from its first token, and exactly that much of it is kept back.

use crate::engine::{Delta, Error};
use openapi::resume::Resume;

#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Not yet met again.
    ids: usize,
    bytes: u64,
}

// === impl Sent ===

impl Sent {
    pub(super) fn new(resume: &Resume) -> Self {
        Self { ids: resume.ids.len(), bytes: resume.text_bytes }
    }

    /// Bytes that the caller has and that were not made again so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What of this piece is new to the caller. Fails where it has a part of a piece: this would be
    /// another answer than the one it has.
    pub(super) fn strip(&mut self, mut delta: Delta) -> Result<Option<Delta>, Error> {
        let known = self.ids.min(delta.ids.len());
        delta.ids.drain(..known);
        self.ids -= known;
        if delta.is_ids_alone() {
            return Ok((!delta.ids.is_empty()).then_some(delta));
        }
        if self.bytes == 0 {
            return Ok(Some(delta));
        }
        match self.bytes.checked_sub(text_bytes(&delta)) {
            Some(left) if delta.ids.is_empty() => self.bytes = left,
            _ => return Err(mismatch("its text is cut elsewhere here")),
        }
        Ok(None)
    }
}

pub(super) fn mismatch(why: &str) -> Error {
    Error::Mismatch(why.to_owned())
}

/// As gateways count it.
fn text_bytes(delta: &Delta) -> u64 {
    let call = delta.tool_call.as_ref().and_then(|call| call.function.as_ref());
    let arguments = call.and_then(|function| function.arguments.as_ref());
    let texts = [delta.content.as_ref(), delta.reasoning.as_ref(), arguments];
    texts.into_iter().flatten().map(|text| text.len() as u64).sum()
}
