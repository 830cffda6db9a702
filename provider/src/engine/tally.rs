//! Counts one job exactly once: finished, failed, or cancelled because its caller left.

use crate::counters::Counters;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Lives as long as the job; dropped unsettled, the job was cancelled.
#[derive(Debug)]
pub(super) struct Tally {
    counters: Arc<Counters>,
    settled: bool,
}

impl Tally {
    pub(super) fn start(counters: &Arc<Counters>) -> Self {
        Counters::add(&counters.jobs_started);
        Self { counters: Arc::clone(counters), settled: false }
    }

    pub(super) fn tokens(&self, count: usize) {
        self.counters.tokens_generated.fetch_add(count as u64, Relaxed);
    }

    pub(super) fn finish(&mut self) {
        if !self.settled {
            Counters::add(&self.counters.jobs_finished);
        }
        self.settled = true;
    }

    /// Ended by itself, but not well.
    pub(super) fn fail(&mut self) {
        self.settled = true;
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        if !self.settled {
            Counters::add(&self.counters.jobs_cancelled);
        }
    }
}
