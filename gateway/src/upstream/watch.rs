//! A time-out that costs one clock reading a chunk: the timer is armed once and, when it fires, looks
//! how long ago the last activity was.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

pub(super) struct Watch {
    sleep: Pin<Box<Sleep>>,
    limit: Duration,
    last: Instant,
}

impl Watch {
    pub(super) fn new(limit: Duration) -> Self {
        let last = Instant::now();
        Self { sleep: Box::pin(tokio::time::sleep_until(last + limit)), limit, last }
    }

    pub(super) fn touch(&mut self) {
        self.last = Instant::now();
    }

    /// Ready once `limit` has passed without a touch.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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
