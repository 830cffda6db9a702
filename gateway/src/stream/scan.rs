//! Finds events in the byte stream: bounded, incremental, without a copy where an event lies whole in
//! one chunk. It knows lines and blank lines (LF, CRLF, lone CR, mixed) and nothing of what they say.

use bytes::{Bytes, BytesMut};
use memchr::memchr2;
use std::ops::Range;

/// Lines of one event; more is an event that is too large.
const LINES_MAX: usize = 4096;

/// One line of an event, as offsets in the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    pub start: usize,
    /// Where its text ends.
    pub end: usize,
    /// Where the next line starts: after its line end.
    pub next: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An event with its blank line, as a range of the chunk.
    Whole(Range<usize>),
    /// An event with its blank line that began in an earlier chunk.
    Joined(Bytes),
    /// The LF of a CRLF whose CR ended the event before.
    LineFeed(Range<usize>),
    /// The chunk is used up; what is left of it is kept.
    Wanting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cr {
    No,
    /// The last byte seen was a CR that ended a line inside an event.
    Line,
    /// The last byte seen was a CR that ended an event.
    Event,
}

#[derive(Debug)]
pub struct Scanner {
    /// The event under way, as far as it came in earlier chunks.
    partial: BytesMut,
    lines: Vec<Line>,
    line_start: usize,
    after_cr: Cr,
    ended: bool,
    event_bytes_max: usize,
}

// === impl Scanner ===

impl Scanner {
    /// `event_bytes_max`: the longest event, its blank line not counted.
    #[must_use]
    pub fn new(event_bytes_max: usize) -> Self {
        Self {
            partial: BytesMut::new(),
            lines: Vec::new(),
            line_start: 0,
            after_cr: Cr::No,
            ended: false,
            event_bytes_max,
        }
    }

    /// The lines of the event last returned, without the blank one that ends it.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The next item of `chunk` from `at` on, which moves past it. Call until [`Item::Wanting`].
    ///
    /// # Errors
    /// An event beyond the limit; the scanner is of no use after that.
    #[inline]
    pub fn next(&mut self, chunk: &[u8], at: &mut usize) -> Result<Item, TooLarge> {
        if std::mem::take(&mut self.ended) {
            self.lines.clear();
            self.line_start = 0;
        }
        let begin = *at;
        let mut seek = begin;
        if self.after_cr != Cr::No && seek < chunk.len() {
            let after = std::mem::replace(&mut self.after_cr, Cr::No);
            if chunk.get(seek) == Some(&b'\n') {
                seek += 1;
                if after == Cr::Event {
                    *at = seek;
                    return Ok(Item::LineFeed(begin..seek));
                }
                self.line_start += 1;
                if let Some(line) = self.lines.last_mut() {
                    line.next += 1;
                }
            }
        }
        let known = self.partial.len();
        while let Some(found) = memchr2(b'\n', b'\r', chunk.get(seek..).unwrap_or_default()) {
            let end = seek + found;
            let (next, open_cr) = match (chunk.get(end), chunk.get(end + 1)) {
                (Some(b'\r'), Some(b'\n')) => (end + 2, false),
                (Some(b'\r'), None) => (end + 1, true),
                _ => (end + 1, false),
            };
            let line = Line {
                start: self.line_start,
                end: known + end - begin,
                next: known + next - begin,
            };
            seek = next;
            if line.end == line.start {
                self.after_cr = if open_cr { Cr::Event } else { Cr::No };
                *at = next;
                return self.event(chunk, begin..next);
            }
            self.after_cr = if open_cr { Cr::Line } else { Cr::No };
            self.line_start = line.next;
            if self.lines.len() == LINES_MAX {
                return Err(TooLarge);
            }
            self.lines.push(line);
        }
        self.keep(chunk.get(begin..).unwrap_or_default())?;
        *at = chunk.len();
        Ok(Item::Wanting)
    }

    fn event(&mut self, chunk: &[u8], range: Range<usize>) -> Result<Item, TooLarge> {
        if self.line_start > self.event_bytes_max {
            return Err(TooLarge);
        }
        self.ended = true;
        if self.partial.is_empty() {
            return Ok(Item::Whole(range));
        }
        self.partial.extend_from_slice(chunk.get(range).unwrap_or_default());
        Ok(Item::Joined(self.partial.split().freeze()))
    }

    fn keep(&mut self, rest: &[u8]) -> Result<(), TooLarge> {
        // Not ended with this many bytes, it can only end beyond the limit.
        if self.partial.len() + rest.len() > self.event_bytes_max {
            return Err(TooLarge);
        }
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    /// The stream ended: what was left without its blank line, if anything; its lines are in
    /// [`Self::lines`].
    pub fn finish(&mut self) -> Option<Bytes> {
        if self.partial.is_empty() {
            return None;
        }
        let end = self.partial.len();
        if self.line_start < end {
            self.lines.push(Line { start: self.line_start, end, next: end });
        }
        self.ended = true;
        Some(self.partial.split().freeze())
    }
}
