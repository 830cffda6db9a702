//! The end of the process: running -> draining -> cut. It owns the one tracker that every task is
//! spawned through, so that draining can wait for them. It decides nothing about connections: the
//! server and the streams look at the phase and act.

use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;

/// How long tasks may take to end by themselves once they are cut: enough to write one error event.
pub const CUT_GRACE: Duration = Duration::from_millis(500);

/// Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    tracker: TaskTracker,
    draining: CancellationToken,
    cut: CancellationToken,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Everything in flight finished in time.
    Clean,
    /// The deadline came with this many tasks still at work.
    Cut { tasks: usize },
}

impl Shutdown {
    pub fn new() -> Self {
        Self::default()
    }

    /// Spawns a task that the drain waits for. Every task of the gateway is spawned here.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn(task)
    }

    pub fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Begins draining: no new connections, no new requests. Idempotent.
    pub fn begin(&self) {
        self.draining.cancel();
    }

    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Resolves when draining begins.
    pub fn draining(&self) -> WaitForCancellationFuture<'_> {
        self.draining.cancelled()
    }

    pub fn is_cut(&self) -> bool {
        self.cut.is_cancelled()
    }

    /// Resolves when what is still in flight must end now.
    pub fn cut(&self) -> WaitForCancellationFuture<'_> {
        self.cut.cancelled()
    }

    /// The token behind [`Self::cut`], for a body that keeps the future in itself.
    pub fn cut_token(&self) -> CancellationToken {
        self.cut.clone()
    }

    /// Cuts at once, without waiting for the drain's deadline.
    pub fn cut_now(&self) {
        self.begin();
        self.cut.cancel();
    }

    /// Drains, waits up to `deadline` for the tasks, then cuts what is left and gives it
    /// [`CUT_GRACE`] to end.
    pub async fn finish(&self, deadline: Duration) -> Drained {
        self.begin();
        self.tracker.close();
        let in_time = tokio::select! {
            () = self.tracker.wait() => true,
            () = tokio::time::sleep(deadline) => false,
            () = self.cut() => false,
        };
        if in_time {
            return Drained::Clean;
        }
        let tasks = self.tracker.len();
        self.cut.cancel();
        // Twice the grace: a connection waits one grace for its bodies before it is dropped.
        let _ = tokio::time::timeout(CUT_GRACE * 2, self.tracker.wait()).await;
        Drained::Cut { tasks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_for_tasks_that_end_in_time() {
        let shutdown = Shutdown::new();
        shutdown.spawn(tokio::time::sleep(Duration::from_secs(3)));
        let start = tokio::time::Instant::now();
        assert_eq!(shutdown.finish(Duration::from_secs(30)).await, Drained::Clean);
        assert_eq!(start.elapsed(), Duration::from_secs(3));
        assert!(shutdown.is_draining() && !shutdown.is_cut());
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_cuts_at_its_deadline() {
        let shutdown = Shutdown::new();
        let inner = shutdown.clone();
        let ended = shutdown.spawn(async move { inner.cut().await });
        assert_eq!(shutdown.finish(Duration::from_secs(30)).await, Drained::Cut { tasks: 1 });
        ended.await.expect("the task sees the cut and ends");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ignores_the_cut_does_not_hold_the_process() {
        let shutdown = Shutdown::new();
        shutdown.spawn(std::future::pending::<()>());
        let start = tokio::time::Instant::now();
        assert_eq!(shutdown.finish(Duration::from_secs(1)).await, Drained::Cut { tasks: 1 });
        assert_eq!(start.elapsed(), Duration::from_secs(1) + CUT_GRACE * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_ends_the_drain_early() {
        let shutdown = Shutdown::new();
        shutdown.spawn(std::future::pending::<()>());
        let inner = shutdown.clone();
        let cutter = shutdown.spawn(async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            inner.cut_now();
        });
        let start = tokio::time::Instant::now();
        assert!(matches!(shutdown.finish(Duration::from_secs(60)).await, Drained::Cut { .. }));
        assert!(start.elapsed() < Duration::from_secs(10));
        cutter.await.expect("ends");
    }
}
