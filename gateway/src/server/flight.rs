//! What a connection is doing, shared by its socket, which times it, and its service, which knows when
//! a request begins and when the last byte of its answer is handed over.

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};

use super::stall::Told;

/// One connection's requests.
#[derive(Debug, Default)]
pub(super) struct Flight {
    begun: AtomicU64,
    open: AtomicU32,
    /// The client may still be sending a body that nobody will read.
    unread: AtomicBool,
}

/// One request, until its answer is over.
#[derive(Debug)]
pub(super) struct Open(Arc<Flight>);

pin_project! {
    /// An answer's body that ends its request when it is dropped.
    pub(super) struct Tracked {
        #[pin]
        body: Told,
        _open: Open,
    }
}

// === impl Flight ===

impl Flight {
    pub(super) fn begin(self: &Arc<Self>) -> Open {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }

    /// Requests begun so far.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.open.load(Ordering::Relaxed) == 0
    }

    pub(super) fn set_unread(&self, unread: bool) {
        self.unread.store(unread, Ordering::Relaxed);
    }

    pub(super) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }
}

// === impl Open ===

impl Open {
    pub(super) fn track(self, body: Told) -> Tracked {
        Tracked { body, _open: self }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Tracked ===

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
