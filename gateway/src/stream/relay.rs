//! The state machine between one attempt's upstream bytes and the client's. It emits exactly one
//! `[DONE]`, and that only on evidence; on an error it says so and leaves the rest to the caller.

use bytes::Bytes;

use super::out::Writer;
use super::reader::{Reader, Verdict};
use super::scan::{Item, Scanner};
use super::splice::Edits;
use super::{Checkable, Completion, Error, Out, Plan, Progress, Said, Seam};

#[derive(Debug)]
pub struct Relay {
    scanner: Scanner,
    reader: Reader,
    /// The event before this byte was handed on, so the LF of its CRLF is as well.
    kept: bool,
    failed: bool,
}

const DONE: &[u8] = b"data: [DONE]\n\n";

// === impl Relay ===

impl Relay {
    pub fn new(plan: Plan) -> Self {
        Self {
            scanner: Scanner::new(plan.limits.event_bytes_max),
            reader: Reader::new(plan),
            kept: false,
            failed: false,
        }
    }

    /// Keeps the text of the answer, for an upstream that is to go on with it.
    #[must_use]
    pub fn keeping_text(mut self) -> Self {
        self.reader.keep_text();
        self
    }

    /// Makes a digest of what this choice says.
    #[must_use]
    pub fn checking(mut self, choice: u32) -> Self {
        self.reader.digest(choice);
        self
    }

    /// Present where a digest is made.
    pub fn checkable(&self) -> Option<Checkable> {
        self.reader.checkable()
    }

    /// Present where it is kept.
    pub fn said(&self) -> Option<&Said> {
        self.reader.said()
    }

    /// Whether the upstream that is read has brought any content.
    pub fn has_news(&self) -> bool {
        self.reader.has_news()
    }

    /// What is pushed from now on comes from another upstream, which goes on with the answer: of the one
    /// before nothing more is read, and what it left unfinished (an event cut in two) is dropped.
    pub fn go_on(&mut self, seam: Seam) {
        self.scanner = Scanner::new(self.reader.plan().limits.event_bytes_max);
        self.reader.go_on(seam);
        self.kept = false;
        self.failed = false;
    }

    /// The upstream that is read has failed, and another one may go on.
    pub fn let_go(&mut self) {
        self.reader.let_go();
    }

    /// Consumes one upstream chunk and appends what the client gets to `out`. On an error `out` holds
    /// what came before it. After `[DONE]` everything is ignored.
    ///
    /// # Errors
    /// See [`Error`]; the relay is dead after one.
    pub fn push(&mut self, chunk: Bytes, out: &mut Out) -> Result<(), Error> {
        if self.failed {
            return Err(Error::Failed);
        }
        let mut writer = Writer::new(out, chunk);
        let mut at = 0;
        let result = loop {
            match self.step(&mut writer, &mut at) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        writer.close();
        out.seal();
        self.failed = result.is_err();
        result
    }

    /// One item of the chunk; whether another may follow.
    fn step(&mut self, writer: &mut Writer<'_>, at: &mut usize) -> Result<bool, Error> {
        let begin = *at;
        let limit = self.reader.plan().limits.event_bytes_max;
        let over = self.progress().done;
        if over && writer.source().get(begin) != Some(&b'\n') {
            // A line feed that comes later is no longer that of the last event's CRLF.
            self.kept &= begin == writer.source().len();
            return Ok(false);
        }
        match self.scanner.next(writer.source(), at).map_err(Error::too_large(limit))? {
            Item::Wanting => return Ok(false),
            Item::LineFeed(range) => {
                if self.kept {
                    writer.keep(range);
                }
            }
            _ if over => return Ok(false),
            Item::Whole(range) => {
                let raw = writer.source().get(range.clone()).unwrap_or_default();
                let verdict = self.reader.event(raw, self.scanner.lines())?;
                self.emit(writer, range.start, range.len(), verdict);
            }
            Item::Joined(raw) => {
                let verdict = self.reader.event(&raw, self.scanner.lines())?;
                let length = raw.len();
                let mut joined = writer.of(raw);
                self.emit(&mut joined, 0, length, verdict);
                joined.close();
            }
        }
        Ok(true)
    }

    /// Hands an event on with its edits.
    #[inline]
    fn emit(&mut self, writer: &mut Writer<'_>, start: usize, length: usize, verdict: Verdict) {
        self.kept = verdict != Verdict::Drop;
        match verdict {
            Verdict::Drop => return,
            Verdict::Done => {
                if let Some(owed) = self.reader.owed() {
                    writer.text(&owed);
                }
            }
            Verdict::Aside | Verdict::Chunk | Verdict::Usage => {}
        }
        edited(writer, start, length, self.reader.edits());
    }

    /// The upstream's body ended.
    ///
    /// # Errors
    /// [`Error::Truncated`] without evidence that the answer is whole.
    pub fn finish(&mut self, out: &mut Out) -> Result<Completion, Error> {
        if self.failed {
            return Err(Error::Failed);
        }
        let result = self.complete(out);
        out.seal();
        self.failed = result.is_err();
        result
    }

    fn complete(&mut self, out: &mut Out) -> Result<Completion, Error> {
        if !self.progress().done
            && let Some(rest) = self.scanner.finish()
        {
            self.last(rest, out)?;
        }
        if self.progress().done {
            return Ok(Completion { done_added: false });
        }
        if !self.progress().finished {
            return Err(Error::Truncated);
        }
        let mut writer = Writer::new(out, Bytes::new());
        if let Some(owed) = self.reader.owed() {
            writer.text(&owed);
        }
        writer.text(DONE);
        writer.close();
        self.reader.set_done();
        Ok(Completion { done_added: true })
    }

    /// The last event lacks its blank line. If its JSON is whole nothing of it was cut off.
    fn last(&mut self, rest: Bytes, out: &mut Out) -> Result<(), Error> {
        let verdict = self.reader.event(&rest, self.scanner.lines())?;
        if matches!(verdict, Verdict::Drop | Verdict::Aside) {
            return Ok(());
        }
        let ended = rest.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r'));
        let length = rest.len();
        let mut writer = Writer::new(out, rest);
        self.emit(&mut writer, 0, length, verdict);
        writer.text(if ended { b"\n" } else { b"\n\n" });
        writer.close();
        Ok(())
    }

    pub fn progress(&self) -> &Progress {
        self.reader.progress()
    }
}

fn edited(writer: &mut Writer<'_>, start: usize, length: usize, edits: &Edits) {
    let mut at = 0;
    for edit in edits {
        writer.keep(start + at..start + edit.start);
        writer.text(&edit.text);
        at = edit.end;
    }
    writer.keep(start + at..start + length);
}
