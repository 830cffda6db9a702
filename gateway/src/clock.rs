//! The only place that reads a clock. Everything else is given a [`Clock`], so that a test decides
//! what time it is. It owns no timers: those are tokio's, which a test pauses.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub trait Clock: Send + Sync + fmt::Debug {
    /// Monotonic: for durations and deadlines.
    fn now(&self) -> Instant;

    /// Milliseconds since the Unix epoch: for what people and other machines read.
    fn unix_ms(&self) -> u64;

    /// Seconds since the Unix epoch.
    fn unix_s(&self) -> i64 {
        i64::try_from(self.unix_ms() / 1000).unwrap_or(i64::MAX)
    }
}

/// The machine's clock. The monotonic one is tokio's view of it, so a test that pauses tokio's time
/// pauses this too.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct Manual {
    start: Instant,
    start_unix_ms: u64,
    elapsed_ns: AtomicU64,
}

// === impl System ===

impl Clock for System {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[expect(clippy::disallowed_methods, reason = "this file is where the clock is read")]
    fn unix_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

// === impl Manual ===

impl Manual {
    #[expect(clippy::disallowed_methods, reason = "an Instant has no other origin")]
    pub fn new(unix_ms: u64) -> Self {
        Self { start: Instant::now(), start_unix_ms: unix_ms, elapsed_ns: AtomicU64::new(0) }
    }

    pub fn advance(&self, by: Duration) {
        let ns = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.elapsed_ns.fetch_add(ns, Ordering::Relaxed);
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed_ns.load(Ordering::Relaxed))
    }
}

impl Clock for Manual {
    fn now(&self) -> Instant {
        self.start + self.elapsed()
    }

    fn unix_ms(&self) -> u64 {
        let elapsed = u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.start_unix_ms.saturating_add(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_time_moves_only_when_told() {
        let clock = Manual::new(1_700_000_000_000);
        let start = clock.now();
        assert_eq!(clock.now(), start);
        clock.advance(Duration::from_millis(1500));
        assert_eq!(clock.now() - start, Duration::from_millis(1500));
        assert_eq!(clock.unix_ms(), 1_700_000_001_500);
        assert_eq!(clock.unix_s(), 1_700_000_001);
    }
}
