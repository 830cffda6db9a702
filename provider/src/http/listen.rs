//! The accept loop: connection limit, TCP_NODELAY, time to the first request, idle time, time for a
//! client to read, HTTP/1.1 and HTTP/2 with prior knowledge, and an orderly end of every connection.

use super::{Peer, is_reset};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use identity::certificate;
use prometheus_client::metrics::gauge::Gauge;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// How long to leave the listener alone when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const HEADER_BYTES_MAX: u32 = 64 * 1024;
const HEADERS_MAX: usize = 128;
const H2_STREAMS_MAX: u32 = 250;
const H2_PING_EVERY: Duration = Duration::from_secs(30);

/// Limits of connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open at once; more wait in the kernel's backlog.
    pub connections: usize,
    /// From the connection to the head of its first request.
    pub first_request: Duration,
    /// From one answer to the head of the next request.
    pub idle: Duration,
    /// Nothing read by the client while bytes wait for it. A client that stops reading holds its
    /// job's place, and on a CPU there is one place.
    pub write_stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            first_request: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            write_stall: Duration::from_secs(30),
        }
    }
}

/// Accepts until [`Shutdown::closing`]; connections run on the tracker of `shutdown`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
    tls: Option<TlsAcceptor>,
) {
    let slots = Arc::new(Semaphore::new(limits.connections.clamp(1, Semaphore::MAX_PERMITS)));
    loop {
        let accepted = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            biased;
            () = shutdown.closing().cancelled() => return,
            accepted = accepted => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (tls, router) = (tls.clone(), router.clone());
        let connection = connection(stream, from, tls, router, limits, shutdown.clone());
        let metrics = Arc::clone(&metrics);
        shutdown.tracker().spawn(async move {
            let _open = Open::new(&metrics.connections);
            if let Err(error) = Box::pin(connection).await {
                tracing::debug!(error, "connection ended");
            }
            drop(slot);
        });
    }
}

/// What a connection ends with.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn connection(
    stream: TcpStream,
    from: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
    shutdown: Shutdown,
) -> Result<(), Failed> {
    stream.set_nodelay(true)?;
    let state = Arc::new(State::default());
    let socket = Socket {
        stream,
        state: Arc::clone(&state),
        first_request: Box::pin(tokio::time::sleep(limits.first_request)),
        write_stall: limits.write_stall,
        stalled: None,
    };
    let Some(tls) = tls else {
        let peer = Peer::Plain(from);
        return converse(socket, state, peer, router, limits, shutdown).await;
    };
    // Bounded by the time to the first request.
    let stream = tls.accept(socket).await?;
    let (_, session) = stream.get_ref();
    let key = session.peer_certificates().and_then(|chain| certificate::key_of(chain.first()?));
    let peer = key.map_or(Peer::Stranger, Peer::Direct);
    converse(stream, state, peer, router, limits, shutdown).await
}

/// Serves one connection that no listener of this machine accepted.
///
/// # Errors
/// It did not end well.
pub async fn over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: Peer,
    router: Router,
    limits: Limits,
    shutdown: Shutdown,
) -> Result<(), Failed> {
    converse(stream, Arc::default(), peer, router, limits, shutdown).await
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    state: Arc<State>,
    peer: Peer,
    router: Router,
    limits: Limits,
    shutdown: Shutdown,
) -> Result<(), Failed> {
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
        state.greeted.store(true, Relaxed);
        let (state, router) = (Arc::clone(&state), router.clone());
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        async move {
            let Ok(response) = router.oneshot(request).await;
            if is_reset(&response) {
                state.reset.store(true, Relaxed);
                return Err(io::Error::from(io::ErrorKind::ConnectionReset));
            }
            Ok(response)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle)
        .max_buf_size(HEADER_BYTES_MAX as usize)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .keep_alive_interval(H2_PING_EVERY);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = shutdown.closing().cancelled() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        ended = connection => ended,
        () = shutdown.dead().cancelled() => Ok(()),
    }
}

/// Counts a connection as long as it lives, however it ends.
struct Open(Gauge);

impl Open {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What the service tells the socket.
#[derive(Debug, Default)]
struct State {
    /// A request was seen.
    greeted: AtomicBool,
    /// Close with a reset, not with an end.
    reset: AtomicBool,
}

/// The stream, with a deadline until its first request, and one for a client that does not read.
struct Socket {
    stream: TcpStream,
    state: Arc<State>,
    first_request: Pin<Box<Sleep>>,
    write_stall: Duration,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

// === impl Socket ===

impl Socket {
    /// The outcome of a write; one that waits for too long fails.
    fn written(
        &mut self,
        task: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let limit = self.write_stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(stalled.as_mut().poll(task));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(task, buffer) {
            Poll::Pending if !self.state.greeted.load(Relaxed) => {
                ready!(self.first_request.as_mut().poll(task));
                // The timer may fire while the first request is being answered.
                if self.state.greeted.load(Relaxed) {
                    return Poll::Pending;
                }
                Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)))
            }
            polled => polled,
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(task, bytes);
        self.written(task, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(task, slices);
        self.written(task, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.state.reset.load(Relaxed) && self.stream.set_zero_linger().is_err() {
            tracing::debug!("the socket could not be reset");
        }
    }
}
