//! A time-out that costs next to nothing while data flows: an activity is a flag, the clock is read
//! only when there is nothing to do, and the timer, armed once, looks back when it fires.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

pub(super) struct Watch {
    sleep: Pin<Box<Sleep>>,
    limit: Duration,
    last: Instant,
    is_touched: bool,
    /// When it is over, activity or not.
    end: Option<Instant>,
}

/// Why a watch is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expired {
    /// Nothing happened for the limit.
    Idle,
    /// The end came.
    End,
}

impl Watch {
    pub(super) fn new(limit: Duration) -> Self {
        let last = Instant::now();
        Self {
            sleep: Box::pin(tokio::time::sleep_until(last + limit)),
            limit,
            last,
            is_touched: false,
            end: None,
        }
    }

    /// The same with an end that no activity moves.
    pub(super) fn until(mut self, end: Instant) -> Self {
        self.end = Some(end);
        let due = self.due();
        self.sleep.as_mut().reset(due);
        self
    }

    fn due(&self) -> Instant {
        let idle = self.last + self.limit;
        self.end.map_or(idle, |end| idle.min(end))
    }

    pub(super) fn touch(&mut self) {
        self.is_touched = true;
    }

    /// Ready once `limit` has passed without a touch. Touches count from the next poll, which comes as
    /// soon as there is nothing to read.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Expired> {
        if std::mem::take(&mut self.is_touched) {
            self.last = Instant::now();
        }
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            let (due, now) = (self.due(), Instant::now());
            if self.end.is_some_and(|end| end <= now) {
                return Poll::Ready(Expired::End);
            }
            if due <= now {
                return Poll::Ready(Expired::Idle);
            }
            self.sleep.as_mut().reset(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    async fn expired(watch: &mut Watch) -> Expired {
        poll_fn(|cx| watch.poll(cx)).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_touch_puts_the_idle_end_off() {
        let start = Instant::now();
        let mut watch = Watch::new(Duration::from_secs(10));
        assert!(tokio::time::timeout(Duration::from_secs(8), expired(&mut watch)).await.is_err());
        watch.touch();
        assert_eq!(expired(&mut watch).await, Expired::Idle);
        assert_eq!(start.elapsed(), Duration::from_secs(18));
    }

    #[tokio::test(start_paused = true)]
    async fn no_touch_puts_the_end_off() {
        let start = Instant::now();
        let mut watch = Watch::new(Duration::from_secs(10)).until(start + Duration::from_secs(15));
        assert!(tokio::time::timeout(Duration::from_secs(9), expired(&mut watch)).await.is_err());
        watch.touch();
        assert_eq!(expired(&mut watch).await, Expired::End);
        assert_eq!(start.elapsed(), Duration::from_secs(15));
    }
}
