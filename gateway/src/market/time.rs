//! The two times the market needs: the running one, which nobody sets, for leases; and the calendar's,
//! which statements of others speak of. Read once for a decision, and passed on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::Clock;

#[derive(Debug)]
pub struct Time {
    clock: Arc<dyn Clock>,
    origin: Instant,
}

/// A moment in both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the gateway began.
    pub run_ms: u64,
    /// Unix milliseconds.
    pub unix_ms: i64,
}

impl Time {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { origin: clock.now(), clock }
    }

    pub fn now(&self) -> Now {
        let unix_ms = i64::try_from(self.clock.unix_ms()).unwrap_or(i64::MAX);
        Now { run_ms: self.run_ms(), unix_ms }
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(super) fn run_ms(&self) -> u64 {
        millis(self.clock.now().saturating_duration_since(self.origin))
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
