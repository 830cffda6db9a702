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
}

impl Watch {
    pub(super) fn new(limit: Duration) -> Self {
        let last = Instant::now();
        Self {
            sleep: Box::pin(tokio::time::sleep_until(last + limit)),
            limit,
            last,
            is_touched: false,
        }
    }

    pub(super) fn touch(&mut self) {
        self.is_touched = true;
    }

    /// Ready once `limit` has passed without a touch. Touches count from the next poll, which comes as
    /// soon as there is nothing to read.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::take(&mut self.is_touched) {
            self.last = Instant::now();
        }
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            let due = self.last + self.limit;
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(due);
        }
    }
}
