//! Who may have an answer scored now: one at a time, and so much of this node's time. Pure but for the
//! time, which is passed in.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Of the node's time.
pub(super) const SHARE: f64 = 0.1;
/// Time that is saved up while nobody asks: the share of a minute.
const SAVED_MAX: Duration = Duration::from_secs(6);
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);

/// Milliseconds that may be used: they come with time, and are taken when it is known how many were
/// used, so that one score may run into debt that later ones wait for.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Milliseconds; below 0 is debt.
    left: f64,
    at: Instant,
}

#[derive(Debug)]
pub(in crate::http) struct Desk(Mutex<State>);

#[derive(Debug)]
struct State {
    bucket: Bucket,
    is_busy: bool,
    /// What the last one took.
    last: Duration,
}

/// The right to score one answer. What it takes until it is dropped, once
/// [begun](Turn::begin), is charged.
#[derive(Debug)]
pub(super) struct Turn {
    desk: Arc<Desk>,
    begun: Option<Instant>,
}

/// To come back then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Later(pub(super) Duration);

// === impl Bucket ===

impl Bucket {
    fn full(now: Instant) -> Self {
        Self { left: SAVED_MAX.as_secs_f64() * 1e3, at: now }
    }

    fn fill(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.at).as_secs_f64() * 1e3;
        self.left = (self.left + since * SHARE).min(SAVED_MAX.as_secs_f64() * 1e3);
        self.at = now;
    }

    fn take(&mut self, used: Duration, now: Instant) {
        self.fill(now);
        self.left -= used.as_secs_f64() * 1e3;
    }

    /// How long until some is left. Zero: now.
    fn wait(&self) -> Duration {
        Duration::try_from_secs_f64((-self.left).max(0.0) / SHARE / 1e3).unwrap_or(Duration::MAX)
    }
}

// === impl Desk ===

impl Default for Desk {
    fn default() -> Self {
        let bucket = Bucket::full(Instant::now());
        Self(Mutex::new(State { bucket, is_busy: false, last: Duration::ZERO }))
    }
}

impl Desk {
    pub(super) fn turn(self: &Arc<Self>, now: Instant) -> Result<Turn, Later> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.bucket.fill(now);
        let debt = state.bucket.wait();
        if state.is_busy || state.bucket.left < 0.0 {
            // Who is at it will take about as long as the one before, and leave as much debt.
            let ahead = if state.is_busy { state.last } else { Duration::ZERO };
            return Err(Later(debt.saturating_add(ahead).max(RETRY_AFTER_MIN)));
        }
        state.is_busy = true;
        drop(state);
        Ok(Turn { desk: Arc::clone(self), begun: None })
    }
}

// === impl Turn ===

impl Turn {
    /// From here on the engine works for it.
    pub(super) fn begin(&mut self, now: Instant) {
        self.begun = Some(now);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut state = self.desk.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(begun) = self.begun {
            let used = now.saturating_duration_since(begun);
            state.bucket.take(used, now);
            state.last = used;
        }
        state.is_busy = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_and_a_tenth_of_the_time() {
        let desk = Arc::new(Desk::default());
        let mut turn = desk.turn(Instant::now()).unwrap();
        assert_eq!(desk.turn(Instant::now()).unwrap_err(), Later(SECOND));
        turn.begin(Instant::now());
        tokio::time::advance(8 * SECOND).await;
        drop(turn);
        // 6 s were saved up, 8 s used: 2 s of debt are 20 s.
        assert_eq!(desk.turn(Instant::now()).unwrap_err(), Later(20 * SECOND));
        tokio::time::advance(15 * SECOND).await;
        assert_eq!(desk.turn(Instant::now()).unwrap_err(), Later(5 * SECOND));
        tokio::time::advance(5 * SECOND).await;
        let mut turn = desk.turn(Instant::now()).unwrap();
        turn.begin(Instant::now());
        tokio::time::advance(SECOND).await;
        // While one works, the wait is about what the last one took.
        assert_eq!(desk.turn(Instant::now()).unwrap_err(), Later(8 * SECOND));
        drop(turn);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_costs_nothing_and_no_more_than_a_minute_s_share_is_saved() {
        let desk = Arc::new(Desk::default());
        let turn = desk.turn(Instant::now()).unwrap();
        tokio::time::advance(100 * SECOND).await;
        drop(turn);
        for _ in 0..6 {
            tokio::time::advance(Duration::from_millis(1)).await;
            let mut turn = desk.turn(Instant::now()).unwrap();
            turn.begin(Instant::now());
            tokio::time::advance(SECOND + Duration::from_millis(112)).await;
        }
        assert!(desk.turn(Instant::now()).is_err());
    }

    /// In the long run, whoever asks as soon as it may.
    #[tokio::test(start_paused = true)]
    async fn in_an_hour_a_tenth_of_it() {
        let desk = Arc::new(Desk::default());
        let (start, mut used) = (Instant::now(), Duration::ZERO);
        while start.elapsed() < 3600 * SECOND {
            match desk.turn(Instant::now()) {
                Ok(mut turn) => {
                    turn.begin(Instant::now());
                    tokio::time::advance(3 * SECOND).await;
                    used += 3 * SECOND;
                }
                Err(Later(wait)) => tokio::time::advance(wait).await,
            }
        }
        assert!((360..=370).contains(&used.as_secs()), "{used:?}");
    }
}
