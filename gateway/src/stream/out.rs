//! The queue between the relay and the client's body. What passes unchanged is handed on as slices of
//! the upstream's own chunks; only around a splice is anything copied.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::ops::Range;

/// A slice at least this long is handed on without a copy, even beside copied bytes.
const SLICE_BYTES_MIN: usize = 2048;

/// Bytes for the client, in order. The caller drains it; it never blocks.
#[derive(Debug, Default)]
pub struct Out {
    queue: VecDeque<Bytes>,
    bytes: usize,
    /// Copied bytes not yet in the queue; empty between calls of the relay.
    copied: BytesMut,
}

/// Writes what of one source goes to the client: runs of it, and text of our own.
pub(crate) struct Writer<'o> {
    out: &'o mut Out,
    source: Bytes,
    /// The run under way, not yet handed on.
    run: Range<usize>,
}

// === impl Out ===

impl Out {
    /// The next piece, never empty.
    pub fn pop(&mut self) -> Option<Bytes> {
        let piece = self.queue.pop_front()?;
        self.bytes = self.bytes.saturating_sub(piece.len());
        Some(piece)
    }

    /// Pieces waiting.
    pub fn pieces(&self) -> usize {
        self.queue.len()
    }

    /// Bytes waiting, all pieces together.
    pub fn len_bytes(&self) -> usize {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Puts in a text of our own: whole lines, between events.
    pub fn say(&mut self, text: &'static str) {
        self.queue(Bytes::from_static(text.as_bytes()));
    }

    /// Drops what waits: nothing of this attempt has been sent, and another one takes its place.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.copied.clear();
        self.bytes = 0;
    }

    /// Puts copied bytes into the queue.
    pub(crate) fn seal(&mut self) {
        if !self.copied.is_empty() {
            let piece = self.copied.split().freeze();
            self.bytes += piece.len();
            self.queue.push_back(piece);
        }
    }

    fn queue(&mut self, piece: Bytes) {
        self.seal();
        self.bytes += piece.len();
        self.queue.push_back(piece);
    }
}

// === impl Writer ===

impl<'o> Writer<'o> {
    pub(crate) fn new(out: &'o mut Out, source: Bytes) -> Self {
        Self { out, source, run: 0..0 }
    }

    /// A writer of another source, for what goes before the rest of this one.
    pub(crate) fn of(&mut self, source: Bytes) -> Writer<'_> {
        self.settle();
        Writer::new(self.out, source)
    }

    pub(crate) fn source(&self) -> &[u8] {
        &self.source
    }

    /// Hands on a range of the source.
    #[inline]
    pub(crate) fn keep(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        if self.run.is_empty() {
            self.run = range;
        } else if self.run.end == range.start {
            self.run.end = range.end;
        } else {
            self.settle();
            self.run = range;
        }
    }

    /// Hands on text of our own.
    pub(crate) fn text(&mut self, text: &[u8]) {
        if !text.is_empty() {
            self.settle();
            self.reserve(text.len());
            self.out.copied.extend_from_slice(text);
        }
    }

    /// Must be called last: hands on the run under way. A source that passed whole goes on as it came.
    pub(crate) fn close(mut self) {
        if self.run.len() == self.source.len() {
            if !self.source.is_empty() {
                let source = std::mem::take(&mut self.source);
                self.out.queue(source);
            }
        } else if self.out.copied.is_empty() {
            self.slice();
        } else {
            self.settle();
        }
    }

    fn settle(&mut self) {
        if self.run.len() >= SLICE_BYTES_MIN {
            self.slice();
        } else if !self.run.is_empty() {
            self.reserve(self.run.len());
            let run = std::mem::take(&mut self.run);
            self.out.copied.extend_from_slice(self.source.get(run).unwrap_or_default());
        }
    }

    fn slice(&mut self) {
        let run = std::mem::take(&mut self.run);
        if !run.is_empty() {
            self.out.queue(self.source.slice(run));
        }
    }

    /// The first copy of a chunk makes room for as much as the chunk holds.
    fn reserve(&mut self, bytes: usize) {
        if self.out.copied.capacity() - self.out.copied.len() < bytes {
            self.out.copied.reserve(bytes.max(self.source.len().min(1 << 14) + 128));
        }
    }
}
