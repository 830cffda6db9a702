//! Our sampler as mistral.rs sees it: a logits processor that hands back a row on which one id wins.

use mistralrs::{CustomLogitsProcessor, Tensor};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::load::first_line;
use crate::decode::{Decode, Step};
use crate::engine::Error;

#[derive(Clone)]
pub(super) struct Processor {
    decode: Arc<Mutex<Decode>>,
    /// The id that ends a sequence.
    eos: u32,
}

// === impl Processor ===

impl Processor {
    pub(super) fn new(decode: Decode, eos: u32) -> Self {
        Self { decode: Arc::new(Mutex::new(decode)), eos }
    }

    pub(super) fn decode(&self) -> MutexGuard<'_, Decode> {
        self.decode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, logits: &Tensor) -> Result<Step, String> {
        let row = logits.to_vec1::<f32>().map_err(|error| first_line(&error.to_string()))?;
        // A panic here would take the engine's thread, and every answer in it, along.
        catch_unwind(AssertUnwindSafe(|| self.decode().step(&row)))
            .map_err(|_| "the sampler panicked".to_owned())
    }
}

impl CustomLogitsProcessor for Processor {
    /// An `Err` would corrupt the neighbours of this sequence in its batch: failures end the answer.
    fn apply(&self, logits: &Tensor, _context: &[u32]) -> mistralrs::Result<Tensor> {
        let step = self.step(logits).unwrap_or_else(|message| {
            self.decode().fail(Error::Internal(message));
            Step::Over
        });
        let id = match step {
            Step::Token(id) => id,
            Step::Over => self.eos,
        };
        one_hot(logits, id)
    }
}

/// A row like this one, on which `id` wins.
pub(super) fn one_hot(logits: &Tensor, id: u32) -> mistralrs::Result<Tensor> {
    let mut row = vec![f32::NEG_INFINITY; logits.elem_count()];
    if let Some(winner) = usize::try_from(id).ok().and_then(|id| row.get_mut(id)) {
        *winner = 0.0;
    }
    Tensor::from_vec(row, logits.dims(), logits.device())
}
