//! How a provider has been doing, and for how long it is left alone therefore. A static upstream's lasts
//! as long as its endpoint; a node's is kept with its key, so that a new connection mends nothing.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// First pause after a failure; it doubles with each further one.
const COOL_DOWN_MIN: Duration = Duration::from_millis(500);
const COOL_DOWN_MAX: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Health {
    /// In a row.
    failures: AtomicU32,
    /// Milliseconds after `born` before which it is not chosen.
    not_before_ms: AtomicU64,
    born: Instant,
}

impl Default for Health {
    fn default() -> Self {
        let (failures, not_before_ms) = (AtomicU32::new(0), AtomicU64::new(0));
        Self { failures, not_before_ms, born: Instant::now() }
    }
}

impl Health {
    pub(super) fn cool_down(&self) -> Duration {
        let since = self.born.elapsed();
        Duration::from_millis(self.not_before_ms.load(Relaxed)).saturating_sub(since)
    }

    pub(super) fn succeeded(&self) {
        // A plain load first: the line stays shared between cores while all is well.
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }

    pub(super) fn failed(&self) {
        let earlier = self.failures.fetch_add(1, Relaxed);
        let pause = COOL_DOWN_MIN.saturating_mul(1u32 << earlier.min(10)).min(COOL_DOWN_MAX);
        self.pause(pause);
    }

    pub(super) fn pause(&self, pause: Duration) {
        let until = self.born.elapsed().saturating_add(pause.min(Duration::from_secs(300)));
        let until = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        self.not_before_ms.fetch_max(until, Relaxed);
    }
}
