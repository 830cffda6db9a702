//! A logits processor that draws what another one drew, and lets a scorer see the rows.

use mistralrs::{CustomLogitsProcessor, Tensor};
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::Error;
use crate::engine::mistral::load::first_line;
use crate::engine::mistral::processor::one_hot;
use crate::score::Scorer;

#[derive(Clone)]
pub(super) struct Forced {
    state: Arc<Mutex<State>>,
    /// The id that ends a sequence.
    eos: u32,
}

struct State {
    /// Gone when it was taken back.
    scorer: Option<Scorer>,
    ids: Vec<u32>,
    at: usize,
    to: usize,
    failure: Option<Error>,
}

// === impl Forced ===

impl Forced {
    /// The rows that come are of the tokens of `run`, in order.
    pub(super) fn new(scorer: Scorer, ids: Vec<u32>, run: RangeInclusive<usize>, eos: u32) -> Self {
        let (at, to) = run.into_inner();
        let state = State { scorer: Some(scorer), ids, at, to, failure: None };
        Self { state: Arc::new(Mutex::new(state)), eos }
    }

    /// The scorer, when the run is over.
    pub(super) fn take(&self) -> Result<Scorer, Error> {
        let mut state = self.state();
        match (state.failure.take(), state.scorer.take()) {
            (None, Some(scorer)) => Ok(scorer),
            (Some(error), _) => Err(error),
            (None, None) => Err(Error::Internal("the scorer was taken twice".to_owned())),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, logits: &Tensor) -> Result<Option<u32>, Error> {
        let row = logits.to_vec1::<f32>();
        let row = row.map_err(|error| Error::Internal(first_line(&error.to_string())))?;
        // A panic here would take the engine's thread, and every answer in it, along.
        catch_unwind(AssertUnwindSafe(|| self.state().step(&row)))
            .map_err(|_| Error::Internal("the scorer panicked".to_owned()))?
    }
}

impl State {
    /// The token to go on with; `None` behind the last one.
    fn step(&mut self, row: &[f32]) -> Result<Option<u32>, Error> {
        let Some(scorer) = &mut self.scorer else { return Ok(None) };
        if self.at > self.to || self.failure.is_some() {
            return Ok(None);
        }
        if scorer.next() == Some(self.at) {
            scorer.row(row)?;
        }
        let id = self.ids.get(self.at).copied();
        self.at += 1;
        Ok(id)
    }
}

impl CustomLogitsProcessor for Forced {
    /// An `Err` would corrupt the neighbours of this sequence in its batch: failures end the run.
    fn apply(&self, logits: &Tensor, _context: &[u32]) -> mistralrs::Result<Tensor> {
        let id = self.step(logits).unwrap_or_else(|error| {
            self.state().failure.get_or_insert(error);
            None
        });
        one_hot(logits, id.unwrap_or(self.eos))
    }
}
