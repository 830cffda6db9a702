//! One client connection, HTTP/1 or HTTP/2 by its first bytes, from its first byte to its last.

use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::TaskTracker;

use super::Handler;
use super::ahead::Shared;
use super::flight::Flight;
use super::io_limits::TimedStream;
use super::signal::{Signal, Watch};
use super::stall::{Told, Watched};
use crate::config::Limits;
use crate::metrics::{Held, Metrics};
use crate::shutdown::CUT_GRACE;

/// An HTTP/2 client that answers no ping for so long is gone.
const H2_PING_EVERY: Duration = Duration::from_secs(20);
const H2_PING_WAIT: Duration = Duration::from_secs(20);

pub(super) struct Connection<H> {
    pub(super) handler: Arc<H>,
    pub(super) limits: Limits,
    pub(super) tracker: TaskTracker,
    pub(super) metrics: Arc<Metrics>,
    pub(super) watch: Watch,
    /// Counts the connection, until it is gone.
    pub(super) held: Held,
    pub(super) permit: OwnedSemaphorePermit,
}

/// Spawns HTTP/2's stream tasks through the tracker, so that the drain waits for them, and watches
/// how long each of them waits for its client.
#[derive(Debug, Clone)]
struct Tracked {
    tracker: TaskTracker,
    metrics: Arc<Metrics>,
    write_stall: Duration,
}

impl<F> Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        let watched = Watched::new(task, self.write_stall, Arc::clone(&self.metrics));
        self.tracker.spawn(watched);
    }
}

/// How the wait for a connection ended.
enum Turn {
    Over,
    Signal(Signal),
}

impl<H: Handler> Connection<H> {
    pub(super) async fn run<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { handler, limits, tracker, metrics, watch, held, permit } = self;
        let flight = Arc::new(Flight::default());
        let refuse = {
            let handler = Arc::clone(&handler);
            move |status| handler.refuse(status)
        };
        let executor =
            Tracked { tracker, metrics: Arc::clone(&metrics), write_stall: limits.write_stall };
        let io = TimedStream::new(stream, Arc::clone(&flight), metrics, &limits, refuse);
        let socket = Shared::new(io);
        let service = service_fn(move |request| {
            let open = flight.begin();
            let (handler, flight) = (Arc::clone(&handler), Arc::clone(&flight));
            async move {
                let has_body = !hyper::body::Body::is_end_stream(request.body());
                let response = handler.handle(request).await;
                let failed =
                    response.status().is_client_error() || response.status().is_server_error();
                flight.set_unread(has_body && failed);
                Ok::<_, Infallible>(response.map(|body| open.track(Told::new(body))))
            }
        });
        let builder = builder(&limits, executor);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(socket.clone()), service));
        let mut known = Signal::Run;
        loop {
            let turn = poll_fn(|cx| {
                if let Poll::Ready(outcome) = connection.as_mut().poll(cx) {
                    if let Err(error) = outcome {
                        tracing::debug!(%error, "a client connection failed");
                    }
                    return Poll::Ready(Turn::Over);
                }
                if socket.poll_gone(cx).is_ready() {
                    return Poll::Ready(Turn::Over);
                }
                let signal = watch.poll(cx);
                if signal > known { Poll::Ready(Turn::Signal(signal)) } else { Poll::Pending }
            });
            match turn.await {
                Turn::Over => break,
                Turn::Signal(signal) => known = signal,
            }
            connection.as_mut().graceful_shutdown();
            if known == Signal::Cut {
                // Bodies see the cut themselves; this is their time to write an error event.
                let _ = tokio::time::timeout(CUT_GRACE, connection.as_mut()).await;
                break;
            }
        }
        drop((held, permit, watch));
    }
}

fn builder(limits: &Limits, executor: Tracked) -> auto::Builder<Tracked> {
    // Heads up to this size are read, so that one over the limit gets a proper answer; what waits for
    // a slow client is bounded by it as well.
    let buffer = limits.write_buffer_bytes.max(limits.header_bytes.saturating_mul(2));
    let mut builder = auto::Builder::new(executor);
    builder
        .http1()
        .timer(TokioTimer::new())
        // The socket has timers of its own: see io_limits.
        .header_read_timeout(None)
        .max_buf_size(buffer);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams)
        .max_pending_accept_reset_streams(limits.h2_resets)
        .max_send_buf_size(limits.write_buffer_bytes)
        .max_header_list_size(u32::try_from(buffer).unwrap_or(u32::MAX))
        .keep_alive_interval(H2_PING_EVERY)
        .keep_alive_timeout(H2_PING_WAIT);
    builder
}

#[cfg(test)]
mod tests;
