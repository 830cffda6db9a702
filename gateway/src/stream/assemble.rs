//! A whole answer from a stream's events.

use bytes::Bytes;

use super::{Error, Plan, Progress};

#[derive(Debug)]
pub struct Assembler {
    plan: Plan,
    progress: Progress,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// `chat.completion` or `text_completion`, as JSON.
    pub body: Bytes,
    pub progress: Progress,
}

impl Assembler {
    /// `plan.usage` is ignored: a whole answer always carries its usage.
    pub fn new(plan: Plan) -> Self {
        Self { plan, progress: Progress::default() }
    }

    /// Consumes one upstream chunk.
    ///
    /// # Errors
    /// See [`Error`]; the assembler is dead after one.
    pub fn push(&mut self, chunk: Bytes) -> Result<(), Error> {
        let _ = (chunk, &self.plan);
        Ok(())
    }

    /// The upstream's body ended, or `[DONE]` was seen.
    ///
    /// # Errors
    /// [`Error::Truncated`] without evidence that the answer is whole.
    pub fn finish(self) -> Result<Answer, Error> {
        Err(Error::Truncated)
    }

    pub fn progress(&self) -> &Progress {
        &self.progress
    }
}
