//! A waker that keeps quiet while its own task is at it.
//!
//! hyper's connection and its body talk through a channel made for two tasks: each chunk handed over
//! wakes the other side. Here both sides are one task, so each of these wakes would only make that
//! task be polled once more for nothing. While the task polls, wakes are noted instead of passed on;
//! afterwards it looks at the note. A wake from the I/O driver in that time is noted just so, and
//! none is lost.

use futures_util::task::{ArcWake, AtomicWaker, waker};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};

/// Turns before the task yields to others though there is more to do.
const TURNS_MAX: u32 = 8;

#[derive(Debug)]
pub(super) struct Quiet {
    shared: Arc<Shared>,
    waker: Waker,
}

#[derive(Debug)]
struct Shared {
    /// The task that polls.
    task: AtomicWaker,
    is_busy: AtomicBool,
    is_noted: AtomicBool,
}

impl ArcWake for Shared {
    fn wake_by_ref(shared: &Arc<Self>) {
        // The note first: if the task is then seen busy, it has yet to look at the note.
        shared.is_noted.store(true, SeqCst);
        if !shared.is_busy.load(SeqCst) {
            shared.task.wake();
        }
    }
}

impl Quiet {
    pub(super) fn new() -> Self {
        let shared = Arc::new(Shared {
            task: AtomicWaker::new(),
            is_busy: AtomicBool::new(false),
            is_noted: AtomicBool::new(false),
        });
        Self { waker: waker(shared.clone()), shared }
    }

    /// Polls with the quiet waker until it is ready, or pending without a wake in between.
    pub(super) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let Self { shared, waker } = self;
        shared.task.register(cx.waker());
        for _ in 0..TURNS_MAX {
            shared.is_busy.store(true, SeqCst);
            shared.is_noted.store(false, SeqCst);
            let polled = poll(&mut Context::from_waker(waker));
            shared.is_busy.store(false, SeqCst);
            if polled.is_ready() || !shared.is_noted.load(SeqCst) {
                return polled;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    struct Count(AtomicU32);

    impl ArcWake for Count {
        fn wake_by_ref(count: &Arc<Self>) {
            count.0.fetch_add(1, SeqCst);
        }
    }

    fn task() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count(AtomicU32::new(0)));
        (count.clone(), waker(count))
    }

    #[test]
    fn a_wake_while_polling_is_another_turn_and_no_wake() {
        let (count, task) = task();
        let quiet = Quiet::new();
        let mut turns = 0;
        let polled: Poll<()> = quiet.poll(&mut Context::from_waker(&task), |cx| {
            turns += 1;
            if turns == 1 {
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        });
        assert!(polled.is_pending());
        assert_eq!((turns, count.0.load(SeqCst)), (2, 0));
    }

    #[test]
    fn a_wake_after_polling_reaches_the_task() {
        let (count, task) = task();
        let quiet = Quiet::new();
        let mut kept = None;
        let _: Poll<()> = quiet.poll(&mut Context::from_waker(&task), |cx| {
            kept = Some(cx.waker().clone());
            Poll::Pending
        });
        kept.expect("a waker").wake();
        assert_eq!(count.0.load(SeqCst), 1);
    }

    #[test]
    fn one_that_never_rests_yields() {
        let (count, task) = task();
        let mut turns = 0;
        let polled: Poll<()> = Quiet::new().poll(&mut Context::from_waker(&task), |cx| {
            turns += 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert!(polled.is_pending());
        assert_eq!((turns, count.0.load(SeqCst)), (TURNS_MAX, 1));
    }

    #[test]
    fn no_wake_is_lost_between_threads() {
        // Another thread wakes at random moments; each wake must be followed by a poll.
        for _ in 0..2_000 {
            let (count, task) = task();
            let quiet = Quiet::new();
            let is_done = Arc::new(AtomicBool::new(false));
            let mut other = None;
            let mut polled: Poll<()> = quiet.poll(&mut Context::from_waker(&task), |cx| {
                if other.is_none() {
                    let (waker, is_done) = (cx.waker().clone(), is_done.clone());
                    other = Some(std::thread::spawn(move || {
                        is_done.store(true, SeqCst);
                        waker.wake();
                    }));
                }
                if is_done.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
            });
            other.expect("a thread").join().expect("joins");
            if count.0.load(SeqCst) > 0 {
                polled = Poll::Ready(());
            }
            assert!(polled.is_ready(), "the wake was lost");
        }
    }
}
