//! A client's socket, shared with the loop that drives its connection. hyper stops reading as long as
//! it holds bytes of a further request that came early, and would not notice that the client is gone:
//! its request would go on for nobody. The loop then reads on in its place, and keeps what it finds.

use bytes::{Buf as _, BytesMut};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::io_limits::TimedStream;

/// A client that sends more than this ahead of its answer is noticed to be gone when it is written to.
const BYTES_MAX: usize = 64 * 1024;

/// What was read before hyper asked for it.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    bytes: BytesMut,
    /// hyper waits for bytes, and sees an end by itself.
    pub(super) is_watched: bool,
}

/// Never contended: hyper and the loop run in one task.
pub(super) struct Shared<S>(Arc<Mutex<TimedStream<S>>>);

// === impl Ahead ===

impl Ahead {
    /// Hands over what is there.
    pub(super) fn take(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let n = self.bytes.len().min(buf.remaining());
        let (Some(bytes), true) = (self.bytes.get(..n), n > 0) else { return false };
        buf.put_slice(bytes);
        self.bytes.advance(n);
        true
    }

    /// Reads on. Ready: the client is gone.
    pub(super) fn poll_gone<S: AsyncRead + Unpin>(
        &mut self,
        socket: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut piece = [0u8; 4096];
        while self.bytes.len() < BYTES_MAX {
            let mut buf = ReadBuf::new(&mut piece);
            match Pin::new(&mut *socket).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    self.bytes.extend_from_slice(buf.filled());
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Pending
    }
}

// === impl Shared ===

impl<S> Shared<S> {
    pub(super) fn new(stream: TimedStream<S>) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    fn lock(&self) -> MutexGuard<'_, TimedStream<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncRead + Unpin> Shared<S> {
    /// Ready: the client left in the middle of a request, and hyper does not look.
    pub(super) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.lock().poll_gone(cx)
    }
}

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Shared<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Shared<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock()).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock()).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.lock().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_shutdown(cx)
    }
}
