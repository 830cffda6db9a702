//! Keeps one provider running: a process that dies is reported and started again on the same
//! address, with a back-off, so that the address it printed stays true. The node's key is in its data folder:
//! it joins again as who it was.

use super::process::{Process, Spec};
use identity::PublicKey;
use std::{net::SocketAddr, time::Duration};
use tokio::time::{Instant, sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// A process that ran this long has earned the shortest back-off again.
const STEADY_AFTER: Duration = Duration::from_secs(60);

/// A provider as it was when it first became ready.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: String,
    /// Kept over restarts.
    pub(super) addr: SocketAddr,
    pub(super) pid: Option<u32>,
    pub(super) node: PublicKey,
    pub(super) operator: PublicKey,
}

/// Runs until `stop`; then ends the process.
pub(super) async fn supervise(
    spec: Spec,
    first: Process,
    stop: CancellationToken,
    tracker: TaskTracker,
) {
    let addr = first.addr;
    let mut backoff = Backoff::default();
    let mut process = first;
    loop {
        let started = Instant::now();
        let status = tokio::select! {
            () = stop.cancelled() => return process.stop().await,
            status = process.ended() => status,
        };
        backoff.ran_for(started.elapsed());
        let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        tracing::warn!(provider = %spec.name, "ended ({how}); it wrote last:\n{}", process.tail.indented());
        match restart(&spec, addr, &mut backoff, &stop, &tracker).await {
            Some(restarted) => process = restarted,
            None => return,
        }
        tracing::info!(provider = %spec.name, pid = process.pid(), "running again on {addr}");
    }
}

/// Tries until the process is ready; `None` when it is to stop.
async fn restart(
    spec: &Spec,
    addr: SocketAddr,
    backoff: &mut Backoff,
    stop: &CancellationToken,
    tracker: &TaskTracker,
) -> Option<Process> {
    loop {
        let delay = backoff.next();
        tracing::info!(provider = %spec.name, "starting again in {} ms", delay.as_millis());
        let attempt = async {
            sleep(delay).await;
            Process::start(spec, addr, tracker).await
        };
        tokio::select! {
            () = stop.cancelled() => return None,
            started = attempt => match started {
                Ok(process) => return Some(process),
                Err(error) => tracing::warn!(provider = %spec.name, "{error:#}"),
            },
        }
    }
}

/// Doubles from the shortest delay to the longest.
#[derive(Debug)]
struct Backoff {
    next: Duration,
}

// === impl Backoff ===

impl Default for Backoff {
    fn default() -> Self {
        Self { next: BACKOFF_MIN }
    }
}

impl Backoff {
    fn next(&mut self) -> Duration {
        let delay = self.next;
        self.next = (delay * 2).min(BACKOFF_MAX);
        delay
    }

    fn ran_for(&mut self, uptime: Duration) {
        if uptime >= STEADY_AFTER {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backs_off_to_a_limit_and_starts_over_after_a_steady_run() {
        let mut backoff = Backoff::default();
        let delays: Vec<_> = (0..8).map(|_| backoff.next().as_millis()).collect();
        assert_eq!(delays, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        backoff.ran_for(STEADY_AFTER / 2);
        assert_eq!(backoff.next(), BACKOFF_MAX);
        backoff.ran_for(STEADY_AFTER);
        assert_eq!(backoff.next(), BACKOFF_MIN);
    }
}
