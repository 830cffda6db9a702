//! A whole answer from a stream's events, by the same rules as the relay. Text is joined as the JSON
//! it came as, never decoded and printed again.

mod fold;
mod part;
mod print;

use bytes::Bytes;
use smallvec::SmallVec;

use self::fold::Fold;
use self::part::Part;
use super::reader::{Reader, Verdict};
use super::scan::{Item, Scanner};
use super::{Checkable, Error, Plan, Progress, Seam, UsageMode};

#[derive(Debug)]
pub struct Assembler {
    scanner: Scanner,
    reader: Reader,
    parts: SmallVec<[Part; 1]>,
    /// Members of the first chunk that are not rewritten.
    head: Fold,
    head_read: bool,
    /// Bytes kept, as JSON.
    kept_bytes: u64,
    failed: bool,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// `chat.completion` or `text_completion`, as JSON.
    pub body: Bytes,
    pub progress: Progress,
}

// === impl Assembler ===

impl Assembler {
    /// `plan.usage` is ignored: a whole answer always carries its usage.
    pub fn new(mut plan: Plan) -> Self {
        plan.usage = UsageMode::Strip;
        Self {
            scanner: Scanner::new(plan.limits.event_bytes_max),
            reader: Reader::new(plan),
            parts: SmallVec::new(),
            head: Fold::default(),
            head_read: false,
            kept_bytes: 0,
            failed: false,
        }
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

    /// Whether the upstream that is read has brought any content.
    pub fn has_news(&self) -> bool {
        self.reader.has_news()
    }

    /// The upstream's body ended: whether that is the answer's end too.
    ///
    /// # Errors
    /// [`Error::Truncated`]; another upstream may still go on.
    pub fn end(&mut self) -> Result<(), Error> {
        if !self.progress().done
            && let Some(rest) = self.scanner.finish()
        {
            self.event(&rest)?;
        }
        if self.progress().done || self.progress().finished {
            Ok(())
        } else {
            Err(Error::Truncated)
        }
    }

    /// What is pushed from now on comes from another upstream, which goes on with the very next token.
    pub fn go_on(&mut self) {
        self.scanner = Scanner::new(self.reader.plan().limits.event_bytes_max);
        self.reader.go_on(Seam::Exact);
        self.failed = false;
    }

    /// The upstream that is read has failed, and another one may go on.
    pub fn let_go(&mut self) {
        self.reader.let_go();
    }

    /// Consumes one upstream chunk. After `[DONE]` everything is ignored.
    ///
    /// # Errors
    /// See [`Error`]; the assembler is dead after one.
    pub fn push(&mut self, chunk: Bytes) -> Result<(), Error> {
        if self.failed {
            return Err(Error::Failed);
        }
        let result = self.take(&chunk);
        self.failed = result.is_err();
        result
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), Error> {
        let limit = self.reader.plan().limits.event_bytes_max;
        let mut at = 0;
        while !self.progress().done {
            match self.scanner.next(chunk, &mut at).map_err(Error::too_large(limit))? {
                Item::Wanting => break,
                Item::LineFeed(_) => {}
                Item::Whole(range) => self.event(chunk.get(range).unwrap_or_default())?,
                Item::Joined(raw) => self.event(&raw)?,
            }
        }
        Ok(())
    }

    fn event(&mut self, raw: &[u8]) -> Result<(), Error> {
        if self.reader.event(raw, self.scanner.lines())? != Verdict::Chunk {
            return Ok(());
        }
        let json = self.reader.json(raw);
        if !std::mem::replace(&mut self.head_read, true) {
            const REWRITTEN: [&[u8]; 7] = [
                b"id",
                b"object",
                b"created",
                b"model",
                b"choices",
                b"usage",
                // Padding against guessing tokens from the sizes of events.
                b"obfuscation",
            ];
            self.kept_bytes += self.head.take_members(json, &REWRITTEN);
        }
        let legacy = self.reader.legacy();
        for (position, choice) in self.reader.shape().choices().iter().enumerate() {
            let slot = choice.index.map_or(position, |index| index as usize);
            if self.parts.len() <= slot {
                self.parts.resize_with(slot + 1, Part::default);
            }
            if let Some(part) = self.parts.get_mut(slot) {
                self.kept_bytes += part.take(json, choice, legacy)?;
            }
        }
        let limit_bytes = self.reader.plan().limits.answer_bytes_max;
        if self.kept_bytes > limit_bytes as u64 {
            Err(Error::AnswerTooLarge { limit_bytes })
        } else {
            Ok(())
        }
    }

    /// The upstream's body ended, or `[DONE]` was seen.
    ///
    /// # Errors
    /// [`Error::Truncated`] without evidence that the answer is whole.
    pub fn finish(mut self) -> Result<Answer, Error> {
        if self.failed {
            return Err(Error::Failed);
        }
        self.end()?;
        let body = print::answer(&self.reader, &self.parts, &self.head);
        let mut progress = self.reader.into_progress();
        progress.done = true;
        Ok(Answer { body, progress })
    }

    pub fn progress(&self) -> &Progress {
        self.reader.progress()
    }
}
