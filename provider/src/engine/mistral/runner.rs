//! mistral.rs' handle to a loaded model, and what to do when its thread has died: start it again, once.

use mistralrs::{MistralRs, Request, Response};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

use super::load::first_line;
use crate::counters::Counters;

/// A dead engine's thread takes a moment to end; before that it cannot be started again.
const RESTART_WAIT: Duration = Duration::from_millis(500);

/// A request and where its answers will come.
pub(super) type Submission = (Request, mpsc::Receiver<Response>);

pub(super) struct Runner {
    model: mistralrs::Model,
    counters: Arc<Counters>,
    /// Why it cannot serve.
    broken: Mutex<Option<String>>,
}

// === impl Runner ===

impl Runner {
    pub(super) fn new(model: mistralrs::Model, counters: Arc<Counters>) -> Self {
        Self { model, counters, broken: Mutex::new(None) }
    }

    pub(super) fn inner(&self) -> &MistralRs {
        self.model.inner()
    }

    pub(super) fn health(&self) -> Result<(), String> {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        broken.clone().map_or(Ok(()), Err)
    }

    /// Sends a request, made anew for each try; starts a dead engine again, once. `None`: it does
    /// not start.
    pub(super) async fn submit(
        &self,
        request: impl Fn() -> Submission,
    ) -> Option<mpsc::Receiver<Response>> {
        for attempt in 0..2 {
            if attempt > 0 {
                tracing::warn!("the engine did not take a job; starting it again");
                Counters::add(&self.counters.engine_restarts);
                tokio::time::sleep(RESTART_WAIT).await;
            }
            let (request, responses) = request();
            let Ok(sender) = self.inner().get_sender(None) else { continue };
            if sender.send(request).await.is_ok() {
                self.set_broken(None);
                return Some(responses);
            }
        }
        self.set_broken(Some("the engine does not start".to_owned()));
        None
    }

    /// An answer's channel closed without an end: the engine's thread has died. To be followed by
    /// [`Self::restart`], once the caller is told.
    pub(super) fn died(&self) {
        tracing::warn!("the engine died in the middle of an answer; starting it again");
        Counters::add(&self.counters.engine_restarts);
        self.set_broken(Some("the engine stopped and is being started again".to_owned()));
    }

    pub(super) async fn restart(&self) {
        tokio::time::sleep(RESTART_WAIT).await;
        let again = self.inner().get_sender(None);
        self.set_broken(again.err().map(|error| first_line(&error.to_string())));
    }

    fn set_broken(&self, why: Option<String>) {
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }
}
