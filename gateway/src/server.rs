//! The accept loop. It owns connections: how many, how long they may take to say something, and how
//! they end. It knows no route and no error body: a [`Handler`] turns a request into a response.

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;
use crate::metrics::{Held, Metrics};
use crate::shutdown::Shutdown;

mod ahead;
mod connection;
mod flight;
mod io_limits;
mod refusal;
mod signal;
mod stall;

use connection::Connection;
use signal::{Signal, Signals};

/// After a failed accept that is the machine's fault (no file descriptors left), the loop waits: first
/// so long, then twice as long each time, up to the longest.
const BACKOFF_FIRST: Duration = Duration::from_millis(5);
const BACKOFF_LONGEST: Duration = Duration::from_secs(1);

/// Answers requests. Every failure is a response.
pub trait Handler: Send + Sync + 'static {
    fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send + 'static;

    /// What is said of a request head that can't be read; `status` is 400, 414 or 431.
    fn refuse(&self, status: StatusCode) -> Response<Bytes>;
}

/// A bound port. Bound before anything is served, so that its address is known and a port in use is
/// an error at start.
#[derive(Debug)]
pub struct Listener {
    inner: TcpListener,
    addr: SocketAddr,
}

/// What a listener serves with.
#[derive(Debug)]
struct Server<H> {
    handler: Arc<H>,
    limits: Limits,
    shutdown: Shutdown,
    metrics: Arc<Metrics>,
    permits: Arc<Semaphore>,
    signals: Arc<Signals>,
}

/// A process whose accept loop broke serves nobody: it ends, and is started again.
struct EndWithPanic(Shutdown);

impl Drop for EndWithPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.begin();
        }
    }
}

// === impl Listener ===

impl Listener {
    /// # Errors
    /// The address can't be bound.
    pub async fn bind(addr: SocketAddr) -> io::Result<Self> {
        let inner = TcpListener::bind(addr).await?;
        let addr = inner.local_addr()?;
        Ok(Self { inner, addr })
    }

    /// With the port that the system chose, when it was asked to.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `shutdown` drains; then the port is closed, idle connections end, and those with a
    /// request in flight end with it, or at the cut.
    pub fn serve<H: Handler>(
        self,
        handler: Arc<H>,
        limits: &Limits,
        shutdown: &Shutdown,
        metrics: &Arc<Metrics>,
    ) {
        let server = Server {
            handler,
            permits: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
            limits: limits.clone(),
            shutdown: shutdown.clone(),
            metrics: Arc::clone(metrics),
            signals: Arc::new(Signals::default()),
        };
        shutdown.spawn(server.run(self.inner));
    }
}

// === impl Server ===

impl<H: Handler> Server<H> {
    async fn run(self, listener: TcpListener) {
        let _guard = EndWithPanic(self.shutdown.clone());
        tokio::select! {
            () = self.accept(&listener) => {}
            () = self.shutdown.draining() => {}
        }
        // New connections are refused from here on; a load balancer goes elsewhere.
        drop(listener);
        self.signals.raise(Signal::Drain);
        tokio::select! {
            () = self.signals.all_gone() => {}
            () = self.shutdown.cut() => self.signals.raise(Signal::Cut),
        }
    }

    /// Never ends by itself.
    async fn accept(&self, listener: &TcpListener) {
        let mut backoff = BACKOFF_FIRST;
        loop {
            // The permit comes first: beyond the limit, connections wait in the kernel's backlog.
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    backoff = BACKOFF_FIRST;
                    self.connect(stream, permit);
                }
                Err(error) => {
                    self.metrics.accept_errors.inc();
                    if is_about_one_connection(&error) {
                        continue;
                    }
                    tracing::warn!(%error, ?backoff, "cannot accept connections");
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_LONGEST);
                }
            }
        }
    }

    fn connect(&self, stream: TcpStream, permit: OwnedSemaphorePermit) {
        // Events are small; Nagle's algorithm would hold each back for the client's ACK.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection ended before it began");
            return;
        }
        let connection = Connection {
            handler: Arc::clone(&self.handler),
            limits: self.limits.clone(),
            tracker: self.shutdown.tracker().clone(),
            metrics: Arc::clone(&self.metrics),
            watch: self.signals.watch(),
            held: Held::new(&self.metrics.connections),
            permit,
        };
        self.shutdown.spawn(connection.run(stream));
    }
}

/// Errors of `accept` that the next call does not meet again.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
