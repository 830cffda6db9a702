//! Where events go: numbered and printed, or nowhere.

use bytes::Bytes;
use openapi::responses::Event;
use std::io::Write as _;

#[derive(Debug)]
pub(in crate::responses) enum Sink {
    Silent,
    Printing { next: u64, out: Vec<u8> },
}

// === impl Sink ===

impl Sink {
    pub(super) fn printing() -> Self {
        Self::Printing { next: 0, out: Vec::new() }
    }

    /// Makes an event of its number, if anybody wants it, and prints it.
    pub(in crate::responses) fn emit(&mut self, make: impl FnOnce(u64) -> Event) {
        let Self::Printing { next, out } = self else { return };
        let event = make(*next);
        *next += 1;
        // Writing to memory does not fail, and neither does printing strings and numbers.
        let _ = write!(out, "event: {}\ndata: ", event.kind());
        let _ = serde_json::to_writer(&mut *out, &event);
        out.extend_from_slice(b"\n\n");
    }

    /// A comment with its blank line.
    pub(super) fn comment(&mut self, comment: &[u8]) {
        if let Self::Printing { out, .. } = self {
            out.extend_from_slice(comment);
        }
    }

    /// What was printed since.
    pub(super) fn take(&mut self) -> Bytes {
        match self {
            Self::Silent => Bytes::new(),
            Self::Printing { out, .. } => std::mem::take(out).into(),
        }
    }
}
