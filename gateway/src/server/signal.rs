//! Tells connections to drain or to be cut. A connection looks at one atomic each time it is polled;
//! a shared token would put a lock that all connections meet at on every event of every stream.

use futures_util::task::AtomicWaker;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;
use tokio::sync::Notify;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Signal {
    Run,
    Drain,
    Cut,
}

/// All connections of a listener.
#[derive(Debug, Default)]
pub(super) struct Signals {
    state: Mutex<State>,
    empty: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    raised: u8,
    open: HashMap<u64, Arc<Flag>>,
}

#[derive(Debug, Default)]
struct Flag {
    signal: AtomicU8,
    waker: AtomicWaker,
}

/// A connection's end. Dropping it says that the connection is gone.
#[derive(Debug)]
pub(super) struct Watch {
    id: u64,
    flag: Arc<Flag>,
    signals: Arc<Signals>,
}

// === impl Signals ===

impl Signals {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn watch(self: &Arc<Self>) -> Watch {
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        let flag = Arc::new(Flag::default());
        flag.signal.store(state.raised, Ordering::Release);
        state.open.insert(id, Arc::clone(&flag));
        Watch { id, flag, signals: Arc::clone(self) }
    }

    /// Tells every connection, and those still to come.
    pub(super) fn raise(&self, signal: Signal) {
        let mut state = self.state();
        state.raised = signal as u8;
        for flag in state.open.values() {
            flag.signal.store(signal as u8, Ordering::Release);
            flag.waker.wake();
        }
    }

    /// Resolves when no connection is left.
    pub(super) async fn all_gone(&self) {
        loop {
            let empty = self.empty.notified();
            if self.state().open.is_empty() {
                return;
            }
            empty.await;
        }
    }
}

// === impl Watch ===

impl Watch {
    /// The signal in force. Once raised further, the task of `cx` is woken.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Signal {
        self.flag.waker.register(cx.waker());
        match self.flag.signal.load(Ordering::Acquire) {
            0 => Signal::Run,
            1 => Signal::Drain,
            _ => Signal::Cut,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.signals.state();
        state.open.remove(&self.id);
        if state.open.is_empty() {
            self.signals.empty.notify_waiters();
        }
    }
}
