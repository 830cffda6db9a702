//! How the process ends: refuse new work, let the running work finish until a deadline, cut what is
//! left with an error, close connections, leave nothing behind. It owns every spawned task.

use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What connections get to flush their last bytes after the work is done or cut.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// Shared by everything that has to end. The stages follow one another and never go back.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    draining: CancellationToken,
    cut: CancellationToken,
    closing: CancellationToken,
    dead: CancellationToken,
    tracker: TaskTracker,
}

impl Shutdown {
    /// Every task of the process is spawned here.
    pub fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Whether new work is refused.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Fires when the process begins to end: background work stops.
    pub fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// Fires when answers still running are to end with an error.
    pub fn cut(&self) -> &CancellationToken {
        &self.cut
    }

    /// Fires when no connection is taken any more and idle ones close.
    pub fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Fires when connections are dropped as they are.
    pub fn dead(&self) -> &CancellationToken {
        &self.dead
    }

    /// Begins to refuse new work.
    pub fn begin(&self) {
        self.draining.cancel();
    }

    /// Goes through all stages. `idle` resolves when no work is left; at the deadline the rest is cut.
    pub async fn drain(&self, deadline: Duration, idle: impl Future<Output = ()>) {
        self.begin();
        let in_time = tokio::time::timeout(deadline, idle).await.is_ok();
        if !in_time {
            tracing::warn!(
                deadline_s = deadline.as_secs(),
                "drain deadline passed; cutting answers"
            );
        }
        self.cut.cancel();
        self.closing.cancel();
        self.tracker.close();
        if tokio::time::timeout(CLOSE_GRACE, self.tracker.wait()).await.is_err() {
            self.dead.cancel();
            // Dropping a connection is immediate; anything that still hangs is not worth waiting for.
            let _ = tokio::time::timeout(CLOSE_GRACE, self.tracker.wait()).await;
        }
    }

    /// Drops everything at once.
    pub fn kill(&self) {
        for token in [&self.draining, &self.cut, &self.closing, &self.dead] {
            token.cancel();
        }
        self.tracker.close();
    }
}

/// SIGINT, SIGTERM and, where asked for, SIGHUP (Ctrl-C elsewhere). Made once and kept: a signal between two waits is not lost.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    /// Present where it means to read the configuration again.
    #[cfg(unix)]
    hangup: Option<tokio::signal::unix::Signal>,
}

/// What a signal wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    End,
    Reload,
}

impl Signals {
    /// From here on signals no longer end the process by themselves.
    pub fn install() -> std::io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let interrupt = signal(SignalKind::interrupt())?;
            Ok(Self { interrupt, terminate: signal(SignalKind::terminate())?, hangup: None })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// From here on SIGHUP asks for the configuration to be read again (Unix).
    pub fn reload_on_hangup(&mut self) -> std::io::Result<()> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            self.hangup = Some(signal(SignalKind::hangup())?);
        }
        Ok(())
    }

    /// Waits for the next signal of any kind.
    pub async fn next(&mut self) -> Wish {
        #[cfg(unix)]
        {
            let hangup = async {
                match &mut self.hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.interrupt.recv() => Wish::End,
                _ = self.terminate.recv() => Wish::End,
                _ = hangup => Wish::Reload,
            }
        }
        #[cfg(not(unix))]
        {
            self.recv().await;
            Wish::End
        }
    }

    /// Waits for the next one that wants an end.
    pub async fn recv(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
