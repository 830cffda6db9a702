//! The queue between the relay and the client's body.

use bytes::Bytes;
use std::collections::VecDeque;

/// Bytes for the client, in order. The caller drains it; it never blocks.
#[derive(Debug, Default)]
pub struct Out {
    queue: VecDeque<Bytes>,
    bytes: usize,
}

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

    /// Drops what waits: nothing of this attempt has been sent, and another one takes its place.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }
}
