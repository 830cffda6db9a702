//! So many a minute: governor's GCRA over one atomic number, and the two things governor lacks:
//! giving back what was reserved and not used, and charging what was used beyond.
//!
//! The number is the time at which the bucket is full again ("theoretical arrival time"), in
//! nanoseconds of [`super::Time`]; at or before now it is full. governor sees it relative to now.

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use std::cell::Cell;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const MINUTE_NS: u64 = 60_000_000_000;

#[derive(Debug, Default)]
pub(super) struct Bucket {
    full_at_ns: AtomicU64,
}

/// How full a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    pub limit: u32,
    pub remaining: u32,
    /// Until all of it is there again.
    pub full_in: Duration,
}

/// There is not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Short {
    Wait(Duration),
    /// More than the bucket can ever hold.
    Never,
}

// === impl Bucket ===

impl Bucket {
    /// Takes `count` or nothing. Returns when the bucket is full again.
    pub(super) fn take(
        &self,
        limit: NonZeroU32,
        count: NonZeroU32,
        now_ns: u64,
    ) -> Result<u64, Short> {
        let state = Shifted { full_at_ns: &self.full_at_ns, now_ns, reached_ns: Cell::new(now_ns) };
        let limiter: RateLimiter<_, _, _, NoOpMiddleware<Nanos>> =
            RateLimiter::new(Quota::per_minute(limit), state, Still);
        match limiter.check_n(count) {
            Ok(Ok(())) => Ok(limiter.into_state_store().reached_ns.get()),
            Ok(Err(until)) => Err(Short::Wait(until.wait_time_from(Still.now()))),
            Err(_) => Err(Short::Never),
        }
    }

    /// Gives back `count` of what was taken until `until_ns`. What time has put back since is not
    /// given a second time.
    pub(super) fn give_back(&self, limit: NonZeroU32, count: u64, until_ns: u64, now_ns: u64) {
        let back_ns = count.saturating_mul(each_ns(limit)).min(until_ns.saturating_sub(now_ns));
        if back_ns > 0 {
            let back = |full_at: u64| Some(full_at.saturating_sub(back_ns));
            let _ = self.full_at_ns.fetch_update(Relaxed, Relaxed, back);
        }
    }

    /// Takes `count` whether it is there or not: the debt has to be replenished first. It is at most
    /// one full bucket, so that one wild number of a provider doesn't shut a key out for long.
    pub(super) fn charge(&self, limit: NonZeroU32, count: u64, now_ns: u64) {
        let each_ns = each_ns(limit);
        let most = now_ns.saturating_add(each_ns.saturating_mul(u64::from(limit.get()) * 2));
        let charged = |full_at: u64| {
            let more = full_at.max(now_ns).saturating_add(count.saturating_mul(each_ns));
            Some(full_at.max(more.min(most)))
        };
        let _ = self.full_at_ns.fetch_update(Relaxed, Relaxed, charged);
    }

    pub(super) fn level(&self, limit: NonZeroU32, now_ns: u64) -> Level {
        let missing_ns = self.full_at_ns.load(Relaxed).saturating_sub(now_ns);
        let each_ns = each_ns(limit);
        let whole_ns = each_ns * u64::from(limit.get());
        let remaining = whole_ns.saturating_sub(missing_ns) / each_ns;
        Level {
            limit: limit.get(),
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            full_in: Duration::from_nanos(missing_ns),
        }
    }
}

/// As governor's quota has it, so that both count the same.
fn each_ns(limit: NonZeroU32) -> u64 {
    (MINUTE_NS / u64::from(limit.get())).max(1)
}

/// governor's view of a bucket: relative to a now that stands still at zero.
struct Shifted<'a> {
    full_at_ns: &'a AtomicU64,
    now_ns: u64,
    reached_ns: Cell<u64>,
}

impl StateStore for Shifted<'_> {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut known = self.full_at_ns.load(Relaxed);
        loop {
            let (value, next) = decide(Some(Nanos::new(known.saturating_sub(self.now_ns))))?;
            let next = self.now_ns.saturating_add(next.as_u64());
            match self.full_at_ns.compare_exchange_weak(known, next, Relaxed, Relaxed) {
                Ok(_) => {
                    self.reached_ns.set(next);
                    return Ok(value);
                }
                Err(found) => known = found,
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Still;

impl Clock for Still {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(0)
    }
}
