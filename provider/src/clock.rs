//! The one place that reads the wall clock. Durations are measured by `tokio::time`, which tests
//! pause; dates come from here, which tests fix.

use std::time::UNIX_EPOCH;

/// Tells the date.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Seconds since 1970-01-01 UTC.
    fn unix_seconds(&self) -> i64;

    /// Milliseconds since 1970-01-01 UTC.
    fn unix_millis(&self) -> i64 {
        self.unix_seconds().saturating_mul(1000)
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Clock for System {
    fn unix_seconds(&self) -> i64 {
        self.unix_millis() / 1000
    }

    #[expect(clippy::disallowed_methods, reason = "the injected clock itself")]
    fn unix_millis(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Always the same date.
#[derive(Debug, Clone, Copy)]
pub struct Fixed(pub i64);

impl Clock for Fixed {
    fn unix_seconds(&self) -> i64 {
        self.0
    }
}
