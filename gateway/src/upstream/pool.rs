//! Idle connections of one endpoint, newest first. Bounded in number and age; nothing here waits.

use std::sync::Mutex;
use std::task::Context;
use std::time::Duration;
use tokio::time::Instant;

use super::link::{Link, LinkBody};

/// Servers commonly close after 60 s or more; ours go first.
const IDLE_MAX: Duration = Duration::from_secs(45);

pub struct Pool {
    idle: Mutex<Vec<Link>>,
    idle_max: usize,
}

/// What a pool holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    pub idle: usize,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool({:?})", self.stats())
    }
}

impl Pool {
    pub(super) fn new(idle_max: usize) -> Self {
        Self { idle: Mutex::new(Vec::new()), idle_max }
    }

    /// A connection that is open as far as this side can know.
    pub(super) fn take(&self, cx: &mut Context<'_>) -> Option<Link> {
        loop {
            // Taken out first: a connection's I/O must not run under the lock.
            let mut link = self.lock().pop()?;
            if link.idle_since.elapsed() < IDLE_MAX && link.is_ready(cx) {
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

    fn give(&self, mut link: Link) {
        link.idle_since = Instant::now();
        let mut idle = self.lock();
        if idle.len() < self.idle_max {
            idle.push(link);
        }
    }

    /// Closes what has been idle for too long. Called now and then: an idle connection has no task.
    pub fn sweep(&self) {
        let stale: Vec<Link> = {
            let mut idle = self.lock();
            let keep_from = idle.partition_point(|link| link.idle_since.elapsed() >= IDLE_MAX);
            idle.drain(..keep_from).collect()
        };
        drop(stale);
    }

    pub fn stats(&self) -> Stats {
        Stats { idle: self.lock().len() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
