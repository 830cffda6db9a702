//! A socket that can be cut by who does not hold it. hyper keeps an HTTP/2 connection until its last
//! stream is over, and a node that was sent away may let its streams stand.

use futures_util::task::AtomicWaker;
use hyper::rt::{Read, ReadBufCursor, Write};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll};

use crate::metrics::Held;

pub(super) struct Cuttable<T> {
    inner: T,
    cut: Arc<Cut>,
    _held: Held,
}

/// The scissors.
#[derive(Debug, Default)]
pub(super) struct Cut {
    is_cut: AtomicBool,
    reader: AtomicWaker,
}

impl Cut {
    pub(super) fn now(&self) {
        self.is_cut.store(true, SeqCst);
        self.reader.wake();
    }
}

impl<T> Cuttable<T> {
    pub(super) fn new(inner: T, held: Held) -> (Self, Arc<Cut>) {
        let cut = Arc::new(Cut::default());
        (Self { inner, cut: cut.clone(), _held: held }, cut)
    }

    fn check(&self) -> io::Result<()> {
        match self.cut.is_cut.load(SeqCst) {
            true => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut")),
            false => Ok(()),
        }
    }
}

impl<T: Read + Unpin> Read for Cuttable<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // A connection always waits to read, so this waker is enough.
        self.cut.reader.register(cx.waker());
        self.check()?;
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: Write + Unpin> Write for Cuttable<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }
}
