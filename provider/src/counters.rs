//! What the engine counts, for `/metrics` and for tests. It owns no names and no text form.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Monotonic since start. Shared by every job of a provider.
#[derive(Debug, Default)]
pub struct Counters {
    /// Tokens drawn by the sampler; forced ends of cancelled answers are not among them.
    pub tokens_generated: AtomicU64,
    /// Jobs handed to the engine.
    pub jobs_started: AtomicU64,
    /// Jobs that ended with a finish reason.
    pub jobs_finished: AtomicU64,
    /// Jobs whose caller left before the end, also while they waited.
    pub jobs_cancelled: AtomicU64,
    /// Times the engine was found dead and started again.
    pub engine_restarts: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    pub fn tokens_generated(&self) -> u64 {
        self.tokens_generated.load(Relaxed)
    }

    pub fn jobs_started(&self) -> u64 {
        self.jobs_started.load(Relaxed)
    }

    pub fn jobs_finished(&self) -> u64 {
        self.jobs_finished.load(Relaxed)
    }

    pub fn jobs_cancelled(&self) -> u64 {
        self.jobs_cancelled.load(Relaxed)
    }

    pub fn engine_restarts(&self) -> u64 {
        self.engine_restarts.load(Relaxed)
    }
}
