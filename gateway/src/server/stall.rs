//! HTTP/2 clients that withhold their window. An answer waits for its stream's window before it is
//! asked for more, so nobody looks at its time limits: a client could hold a provider for ever with a
//! window of zero. Each stream's task is watched from outside: one that has handed over a piece and
//! is not asked for the next in time is dropped, and with it the answer and its upstream attempt.

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

use crate::metrics::Metrics;

tokio::task_local! {
    /// The stream whose task is running.
    static STREAM: Arc<Stream>;
}

/// What the watched task and the answer's body share.
#[derive(Debug, Default)]
struct Stream {
    /// A piece was handed over, and the next one has not been asked for.
    waits_for_client: AtomicBool,
    /// That piece is another one than when the task last ran.
    is_new_piece: AtomicBool,
}

pin_project! {
    /// A stream's task with its time limit.
    pub(super) struct Watched<F> {
        #[pin]
        task: F,
        stream: Arc<Stream>,
        metrics: Arc<Metrics>,
        limit: Duration,
        // Made when a client is first slow.
        timer: Option<Pin<Box<Sleep>>>,
        // Runs since the last piece that was handed over.
        armed: bool,
    }
}

/// A long answer is handed over in pieces of this size, so that a client is only cut off that does
/// not take one of them in time.
const PIECE_BYTES: usize = 64 * 1024;

/// An answer's body that tells its stream's task when it waits for the client. Outside of a watched
/// task, as over HTTP/1, it only passes on.
pub(super) struct Told {
    body: Body,
    rest: Bytes,
    stream: Option<Arc<Stream>>,
}

// === impl Watched ===

impl<F> Watched<F> {
    pub(super) fn new(task: F, limit: Duration, metrics: Arc<Metrics>) -> Self {
        let stream = Arc::new(Stream::default());
        Self { task, stream, metrics, limit, timer: None, armed: false }
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let task = this.task;
        if STREAM.sync_scope(Arc::clone(this.stream), || task.poll(cx)).is_ready() {
            return Poll::Ready(());
        }
        if !this.stream.waits_for_client.load(Ordering::Relaxed) {
            *this.armed = false;
            return Poll::Pending;
        }
        if this.stream.is_new_piece.swap(false, Ordering::Relaxed) {
            *this.armed = false;
        }
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(*this.limit)));
        if !*this.armed {
            timer.as_mut().reset(tokio::time::Instant::now() + *this.limit);
            *this.armed = true;
        }
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        this.metrics.slow_clients.inc();
        Poll::Ready(())
    }
}

// === impl Told ===

impl Told {
    pub(super) fn new(body: Body) -> Self {
        let stream = STREAM.try_with(Arc::clone).ok();
        Self { body, rest: Bytes::new(), stream }
    }

    fn cut(&mut self, mut data: Bytes) -> Bytes {
        self.rest = data.split_off(data.len().min(PIECE_BYTES));
        data
    }
}

impl http_body::Body for Told {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(stream) = &this.stream else { return Pin::new(&mut this.body).poll_frame(cx) };
        let stream = Arc::clone(stream);
        stream.waits_for_client.store(false, Ordering::Relaxed);
        let data = if this.rest.is_empty() {
            match std::task::ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => return Poll::Ready(other),
            }
        } else {
            std::mem::take(&mut this.rest)
        };
        stream.is_new_piece.store(true, Ordering::Relaxed);
        stream.waits_for_client.store(true, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(this.cut(data)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let body = self.body.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(body.lower().saturating_add(rest));
        hint
    }
}
