//! Lines out of pieces, bounded. It knows nothing of what they say.

use bytes::{Bytes, BytesMut};

#[derive(Debug, Default)]
pub(super) struct Lines {
    read: BytesMut,
    /// So much of it has no line's end.
    looked_at: usize,
}

/// A line is longer than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

impl Lines {
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.read.extend_from_slice(piece);
    }

    /// The next whole line, without its end; empty ones are skipped.
    pub(super) fn next(&mut self, bytes_max: usize) -> Result<Option<Bytes>, TooLong> {
        loop {
            let rest = self.read.get(self.looked_at..).unwrap_or_default();
            let Some(at) = memchr::memchr(b'\n', rest) else {
                self.looked_at = self.read.len();
                return if self.looked_at > bytes_max { Err(TooLong) } else { Ok(None) };
            };
            let line = self.read.split_to(self.looked_at + at + 1).freeze();
            self.looked_at = 0;
            let line = line.slice(..line.len() - 1);
            if line.len() > bytes_max {
                return Err(TooLong);
            }
            if !line.is_empty() {
                return Ok(Some(line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        let text = b"one\n\ntwo\nthree";
        for size in 1..=text.len() {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for piece in text.chunks(size) {
                lines.push(piece);
                while let Some(line) = lines.next(5).unwrap() {
                    found.push(line);
                }
            }
            assert_eq!(found, ["one", "two"], "{size}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_with_and_without_its_end() {
        for text in ["123456", "123456\n", "12345\n123456\n"] {
            let mut lines = Lines::default();
            lines.push(text.as_bytes());
            let refused = (0..2).any(|_| lines.next(5) == Err(TooLong));
            assert!(refused, "{text:?}");
        }
    }
}
