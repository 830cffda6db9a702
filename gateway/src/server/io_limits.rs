//! A client's socket with its time limits: a request head that does not end, a connection that says
//! nothing, and a client that does not read. hyper's own head timer makes and drops a timer for every
//! request and closes idle connections after the same short time; here a timer exists only while
//! somebody is slow, so a busy connection pays nothing.

use bytes::{Buf as _, Bytes};
use http::{Response, StatusCode};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::ahead::Ahead;
use super::flight::Flight;
use super::refusal;
use crate::config::Limits;
use crate::metrics::Metrics;

/// After a refusal the socket reads on for so long, or so many bytes, and throws away what the client
/// is still sending: closing with unread bytes would reset the connection and lose the answer.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 64 * 1024 * 1024;

const H2_PREFACE_START: &[u8] = b"PRI";

pub(super) struct TimedStream<S> {
    inner: S,
    flight: Arc<Flight>,
    metrics: Arc<Metrics>,
    header_read: Duration,
    keep_alive: Duration,
    write_stall: Duration,
    /// HTTP/2 sends frames that belong to no request: there, only idleness is timed.
    is_h2: Option<bool>,
    /// Bytes of the request with this number have come, and it has not begun.
    head_of: Option<u64>,
    read_timer: Timer<Waiting>,
    write_timer: Timer<()>,
    end_seen: bool,
    linger: Timer<()>,
    lingered_bytes: usize,
    shut: bool,
    refuse: Box<dyn Fn(StatusCode) -> Response<Bytes> + Send>,
    own_answer: Option<OwnAnswer>,
    ahead: Ahead,
}

/// Our words on their way out in place of hyper's.
struct OwnAnswer {
    rest: Bytes,
    /// Bytes of hyper's answer.
    instead_of: usize,
}

/// What the read timer is running for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// The rest of the head of the request with this number.
    Head { number: u64 },
    /// A further request: what the connection was doing when the timer was set.
    Request { begun: u64, idle: bool },
}

/// A timer that is made when it is first needed and used again.
struct Timer<T> {
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Option<T>,
}

// === impl TimedStream ===

impl<S> TimedStream<S> {
    pub(super) fn new(
        inner: S,
        flight: Arc<Flight>,
        metrics: Arc<Metrics>,
        limits: &Limits,
        refuse: impl Fn(StatusCode) -> Response<Bytes> + Send + 'static,
    ) -> Self {
        Self {
            inner,
            flight,
            metrics,
            header_read: limits.header_read,
            keep_alive: limits.keep_alive,
            write_stall: limits.write_stall,
            is_h2: None,
            head_of: None,
            read_timer: Timer::default(),
            write_timer: Timer::default(),
            end_seen: false,
            linger: Timer::default(),
            lingered_bytes: 0,
            shut: false,
            refuse: Box::new(refuse),
            own_answer: None,
            ahead: Ahead::default(),
        }
    }

    fn bytes_came(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            self.end_seen = true;
            return;
        }
        let h2 = *self.is_h2.get_or_insert_with(|| bytes.starts_with(H2_PREFACE_START));
        if !h2 && self.flight.is_idle() {
            self.head_of = Some(self.flight.begun());
        }
    }

    /// Nothing to read: is somebody late? hyper may ask but once, at any time before or after an
    /// answer's end, so the timer for the next request runs during answers too; it is set anew only
    /// when it fires, not with every request.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let (begun, idle) = (self.flight.begun(), self.flight.is_idle());
        if idle && self.head_of == Some(begun) {
            let waiting = Waiting::Head { number: begun };
            if self.read_timer.armed != Some(waiting) {
                self.read_timer.arm(waiting, self.header_read);
            }
            ready!(self.read_timer.poll(cx));
            return Poll::Ready(late("the request head did not end in time"));
        }
        // A connection's first request has no reason to wait.
        let wait = if begun == 0 { self.header_read } else { self.keep_alive };
        let waiting = Waiting::Request { begun, idle };
        loop {
            match self.read_timer.armed {
                Some(then @ Waiting::Request { .. }) => {
                    ready!(self.read_timer.poll(cx));
                    if idle && then == waiting {
                        return Poll::Ready(late("no request came in time"));
                    }
                    self.read_timer.arm(waiting, wait);
                }
                _ => self.read_timer.arm(waiting, wait),
            }
        }
    }

    /// The outcome of a write; one that makes no progress for too long fails.
    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.write_timer.armed = None;
            return outcome;
        }
        if self.write_timer.armed.is_none() {
            self.write_timer.arm((), self.write_stall);
        }
        ready!(self.write_timer.poll(cx));
        self.metrics.slow_clients.inc();
        Poll::Ready(Err(late("the client did not read in time")))
    }
}

impl<S: AsyncRead + Unpin> TimedStream<S> {
    /// Ready: the client left in the middle of a request, and hyper does not look. Over HTTP/2 it
    /// always does.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_h2 != Some(false) || self.ahead.is_watched || self.flight.is_idle() {
            return Poll::Pending;
        }
        self.ahead.poll_gone(&mut self.inner, cx)
    }

    /// Throws away what still comes, until the client ends, or for long enough.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0u8; 8192];
        while !self.end_seen && self.lingered_bytes < LINGER_BYTES_MAX {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.inner).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    self.lingered_bytes += buf.filled().len();
                }
                Poll::Ready(_) => self.end_seen = true,
                Poll::Pending => {
                    if self.linger.armed.is_none() {
                        self.linger.arm((), LINGER);
                    }
                    ready!(self.linger.poll(cx));
                    self.end_seen = true;
                }
            }
        }
        Poll::Ready(())
    }
}

fn late(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.ahead.take(buf) {
            self.ahead.is_watched = false;
            self.bytes_came(buf.filled().get(before..).unwrap_or_default());
            return Poll::Ready(Ok(()));
        }
        let outcome = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.ahead.is_watched = outcome.is_pending();
        match outcome {
            Poll::Ready(Ok(())) => {
                self.bytes_came(buf.filled().get(before..).unwrap_or_default());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.poll_late(cx).map(Err),
        }
    }
}

impl<S: AsyncWrite + Unpin> TimedStream<S> {
    fn poll_plain_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = match bufs {
            [buf] => Pin::new(&mut self.inner).poll_write(cx, buf),
            bufs => Pin::new(&mut self.inner).poll_write_vectored(cx, bufs),
        };
        self.written(cx, outcome)
    }

    /// Puts our answer to a broken head in the place of hyper's, which comes last of all that a
    /// connection says, when no answer of ours is being written.
    fn poll_checked_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.own_answer.is_none() {
            let last = bufs.last().map_or(&[][..], |last| last);
            let found = (self.is_h2 == Some(false) && self.flight.is_idle())
                .then(|| refusal::find(last))
                .flatten();
            match found {
                None => return self.poll_plain_write(cx, bufs),
                Some((at, _)) if at > 0 || bufs.len() > 1 => {
                    // What stands before it goes first.
                    let before = last.get(..at).filter(|before| !before.is_empty());
                    return match (before, bufs.split_last()) {
                        (Some(before), _) if bufs.len() == 1 => {
                            self.poll_plain_write(cx, &[io::IoSlice::new(before)])
                        }
                        (_, Some((_, before))) => self.poll_plain_write(cx, before),
                        (_, None) => Poll::Ready(Ok(0)),
                    };
                }
                Some((_, status)) => {
                    let rest = refusal::print(&(self.refuse)(status));
                    self.own_answer = Some(OwnAnswer { rest, instead_of: last.len() });
                    // What the client still sends would reset the connection if it were not read.
                    self.flight.set_unread(true);
                }
            }
        }
        while let Some(mut own) = self.own_answer.take() {
            let outcome = Pin::new(&mut self.inner).poll_write(cx, &own.rest);
            let outcome = self.written(cx, outcome);
            if let Poll::Ready(Ok(n)) = outcome {
                own.rest.advance(n);
                if own.rest.is_empty() {
                    return Poll::Ready(Ok(own.instead_of));
                }
            }
            self.own_answer = Some(own);
            ready!(outcome)?;
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TimedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_checked_write(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_checked_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut {
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
            self.shut = true;
        }
        if self.flight.is_unread() {
            ready!(self.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

// === impl Timer ===

impl<T> Default for Timer<T> {
    fn default() -> Self {
        Self { sleep: None, armed: None }
    }
}

impl<T> Timer<T> {
    fn arm(&mut self, purpose: T, after: Duration) {
        self.armed = Some(purpose);
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(Instant::now() + after),
            None => self.sleep = Some(Box::pin(tokio::time::sleep(after))),
        }
    }

    /// Ready when it is armed and its time has come.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sleep {
            Some(sleep) if self.armed.is_some() => sleep.as_mut().poll(cx),
            _ => Poll::Pending,
        }
    }
}
