//! The tunnel: HTTP/2 over the connection that a node opened, of which the gateway is the client. Its
//! tasks are hyper's, spawned through the tracker. It refuses to know what is said in the control
//! exchange, and who may open a tunnel.
//!
//! The connection's window is larger than those of all its streams together: a stream whose client
//! does not read fills its own window and holds back nobody else. What a stream that is dropped had
//! received is given back to the connection by h2.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::rt::{Executor, Read, Write};
use hyper_util::rt::TokioTimer;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::cuttable::{Cut, Cuttable};
use super::error::Error;
use super::link::LinkBody;
use crate::metrics::Held;
use crate::shutdown::Shutdown;

/// Requests that one tunnel carries at once.
pub(super) const STREAMS_MAX: u32 = 1024;
/// Bytes of one answer that wait here for its client.
pub(super) const STREAM_WINDOW: u32 = 256 * 1024;
/// Twice what all streams may hold: h2 lets frames that wait cost half of it over their bytes, which is
/// enough for streams that stand still with events of a hundred bytes each.
const CONNECTION_WINDOW: u32 = 2 * STREAMS_MAX * STREAM_WINDOW;
/// Cancelled streams whose late frames are known for what they are (for a second).
const CANCELLED_MAX: usize = 4 * STREAMS_MAX as usize;
/// Frames for streams that are not known any more, over a connection's whole life, which may be months.
const STRAY_FRAMES_MAX: usize = 100_000;
/// Of a request's body, held for a node that does not take it yet.
const SEND_BUFFER: usize = 256 * 1024;
/// Of bodies that the node has not taken, those of requests that are over included: a node that begins
/// answers and takes no bodies gets no more of them.
const BODIES_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Of an answer's head.
const HEAD_BYTES_MAX: u32 = 64 * 1024;
const PING_EVERY: Duration = Duration::from_secs(5);
const PING_WAIT: Duration = Duration::from_secs(10);
/// Control messages that wait for the node.
const LINES_MAX: usize = 32;

/// What requests through a tunnel are addressed to: there is one server at its end.
pub(super) const AUTHORITY: &str = "node";

/// Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Tunnel {
    sender: SendRequest<Sent>,
    /// Bodies that hyper holds: those of requests that were given up count until it lets go of them.
    bodies: Arc<Bodies>,
    cut: Arc<Cut>,
    ended: CancellationToken,
}

/// A request's body. Printed by nothing.
pub(super) enum Sent {
    Whole { body: Full<Bytes>, _count: Counted },
    Lines(mpsc::Receiver<Bytes>),
}

/// Bodies that are held.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    count: AtomicU32,
    bytes: AtomicU64,
}

/// One of them, and its bytes.
pub(super) struct Counted(Arc<Bodies>, u64);

/// Where control messages for the node go: each one line.
#[derive(Debug)]
pub struct Lines(mpsc::Sender<Bytes>);

/// Spawns through the tracker, so that the drain waits.
#[derive(Debug, Clone)]
struct Tasks(Shutdown);

impl<F> Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

// === impl Tunnel ===

impl Tunnel {
    /// Speaks HTTP/2 on `io` from now on. `held` lasts as long as the connection.
    ///
    /// # Errors
    /// The connection is gone already.
    pub async fn open<T>(io: T, held: Held, tasks: &Shutdown) -> Result<Self, hyper::Error>
    where
        T: Read + Write + Unpin + Send + 'static,
    {
        let (io, cut) = Cuttable::new(io, held);
        let (sender, connection) = http2::Builder::new(Tasks(tasks.clone()))
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_reset_streams(CANCELLED_MAX)
            .max_local_error_reset_streams(STRAY_FRAMES_MAX)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(HEAD_BYTES_MAX)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_WAIT)
            .keep_alive_while_idle(true)
            .handshake(io)
            .await?;
        let ended = CancellationToken::new();
        let end = ended.clone().drop_guard();
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a tunnel broke");
            }
            drop(end);
        });
        Ok(Self { sender, bodies: Arc::default(), cut, ended })
    }

    pub fn is_open(&self) -> bool {
        !self.sender.is_closed()
            && self.bodies.count.load(Relaxed) < STREAMS_MAX
            && self.bodies.bytes.load(Relaxed) < BODIES_BYTES_MAX
    }

    /// Cuts it, with all that it carries.
    pub fn close(&self) {
        self.cut.now();
    }

    /// Resolves when the connection has ended.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Opens the control exchange: lines go out as they are said, and the answer's body carries the
    /// node's.
    ///
    /// # Errors
    /// The tunnel is gone, or the token fits into no header.
    pub async fn control(
        &self,
        path: &str,
        authorization: HeaderValue,
    ) -> Result<(Lines, Response<Incoming>), Error> {
        let (lines, received) = mpsc::channel(LINES_MAX);
        let request = Request::builder()
            .method(Method::POST)
            .version(Version::HTTP_2)
            .uri(format!("https://{AUTHORITY}{path}"))
            .header(header::AUTHORIZATION, authorization)
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .body(Sent::Lines(received))
            .map_err(|error| Error::Broken(error.to_string()))?;
        let answer = self.sender.clone().send_request(request).await;
        Ok((Lines(lines), answer.map_err(|error| Error::Broken(error.to_string()))?))
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<LinkBody>, Error> {
        let request = request.map(|body| {
            let bytes = body.size_hint().lower();
            Sent::Whole { body, _count: Counted::new(&self.bodies, bytes) }
        });
        match self.sender.clone().try_send_request(request).await {
            Ok(answer) => Ok(answer.map(LinkBody::shared)),
            Err(mut failed) => Err(match failed.take_message() {
                Some(_) => Error::Gone,
                None => Error::Broken(failed.error().to_string()),
            }),
        }
    }
}

// === impl Lines ===

impl Lines {
    /// `false`: the node is gone, or does not take what it is told.
    pub fn say(&self, line: Bytes) -> bool {
        self.0.try_send(line).is_ok()
    }
}

// === impl Counted ===

impl Counted {
    fn new(bodies: &Arc<Bodies>, bytes: u64) -> Self {
        bodies.count.fetch_add(1, Relaxed);
        bodies.bytes.fetch_add(bytes, Relaxed);
        Self(bodies.clone(), bytes)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Relaxed);
        self.0.bytes.fetch_sub(self.1, Relaxed);
    }
}

// === impl Sent ===

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole { body, .. } => Pin::new(body).poll_frame(cx),
            Self::Lines(lines) => {
                lines.poll_recv(cx).map(|line| line.map(|line| Ok(Frame::data(line))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole { body, .. } => body.is_end_stream(),
            Self::Lines(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole { body, .. } => body.size_hint(),
            Self::Lines(_) => SizeHint::default(),
        }
    }
}
