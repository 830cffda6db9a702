//! The time of the limits: nanoseconds since the gateway began, so that a bucket is one atomic number.

use std::sync::Arc;
use std::time::Instant;

use crate::clock::Clock;

#[derive(Debug)]
pub struct Time {
    clock: Arc<dyn Clock>,
    origin: Instant,
}

impl Time {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { origin: clock.now(), clock }
    }

    /// Since the origin; good for 584 years.
    pub fn now_ns(&self) -> u64 {
        let since = self.clock.now().saturating_duration_since(self.origin);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}
