//! Idle connections of one endpoint, newest first. Bounded in number and age; nothing here waits.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::Context;
use std::time::Duration;
use tokio::time::Instant;

use super::link::{Link, LinkBody};

type Idle = Vec<Box<Link>>;

pub struct Pool {
    idle: Mutex<Idle>,
    is_closed: AtomicBool,
    idle_max: usize,
    idle_for: Duration,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool({} idle)", self.len())
    }
}

impl Pool {
    pub(super) fn new(idle_max: usize, idle_for: Duration) -> Self {
        let (idle, is_closed) = (Mutex::default(), AtomicBool::new(false));
        Self { idle, is_closed, idle_max, idle_for }
    }

    /// A connection that is open as far as this side can know.
    pub(super) fn take(&self, cx: &mut Context<'_>) -> Option<Box<Link>> {
        loop {
            // Taken out first: a connection's I/O must not run under the lock.
            let mut link = self.lock().pop()?;
            if link.idle_since.elapsed() < self.idle_for && link.is_ready(cx) {
                link.is_reused = true;
                return Some(link);
            }
        }
    }

    /// The connection of a body that has ended, if it can be used again.
    pub(super) fn give_body(&self, body: LinkBody, cx: &mut Context<'_>) {
        if let Some(link) = body.into_link(cx) {
            self.give(link);
        }
    }

    fn give(&self, mut link: Box<Link>) {
        link.idle_since = Instant::now();
        let mut idle = self.lock();
        // Looked at under the lock: `close` empties the pool afterwards.
        if idle.len() < self.idle_max && !self.is_closed() {
            idle.push(link);
        }
    }

    /// Closes what is idle, now and from now on.
    pub(super) fn close(&self) {
        self.is_closed.store(true, SeqCst);
        let idle = std::mem::take(&mut *self.lock());
        drop(idle);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(SeqCst)
    }

    /// Closes what has been idle for too long; how many are left. Called now and then: an idle
    /// connection has no task.
    pub fn sweep(&self) -> i64 {
        let (stale, left): (Vec<Box<Link>>, usize) = {
            let mut idle = self.lock();
            let keep_from = idle.partition_point(|link| link.idle_since.elapsed() >= self.idle_for);
            let stale = idle.drain(..keep_from).collect();
            (stale, idle.len())
        };
        drop(stale);
        i64::try_from(left).unwrap_or(i64::MAX)
    }

    pub fn len(&self) -> usize {
        self.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
