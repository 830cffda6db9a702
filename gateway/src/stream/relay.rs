//! The state machine between one attempt's upstream bytes and the client's.

use bytes::Bytes;

use super::{Completion, Error, Out, Plan, Progress};

#[derive(Debug)]
pub struct Relay {
    plan: Plan,
    progress: Progress,
}

impl Relay {
    pub fn new(plan: Plan) -> Self {
        Self { plan, progress: Progress::default() }
    }

    /// Consumes one upstream chunk and appends what the client gets to `out`. On an error `out` holds
    /// what came before it. After `[DONE]` everything is ignored.
    ///
    /// # Errors
    /// See [`Error`]; the relay is dead after one.
    pub fn push(&mut self, chunk: Bytes, out: &mut Out) -> Result<(), Error> {
        let _ = (chunk, out, &self.plan);
        Ok(())
    }

    /// The upstream's body ended.
    ///
    /// # Errors
    /// [`Error::Truncated`] without evidence that the answer is whole.
    pub fn finish(&mut self, out: &mut Out) -> Result<Completion, Error> {
        let _ = out;
        Err(Error::Truncated)
    }

    pub fn progress(&self) -> &Progress {
        &self.progress
    }
}
