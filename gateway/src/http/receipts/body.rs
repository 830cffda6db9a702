//! A body that is hashed as it goes out, in the pieces it goes out in. It holds none of them and delays
//! none; when it ends, or is let go of, its receipt is finished.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use openapi::receipt::Outcome;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::receipts::{Hasher, Ticket};

pub(in crate::http) struct Receipted<B: Body> {
    /// `None` once it is of no more use.
    inner: Option<B>,
    hasher: Hasher,
    ticket: Option<Ticket>,
}

// === impl Receipted ===

impl<B: Body> Receipted<B> {
    pub(in crate::http) fn new(inner: B, ticket: Ticket) -> Self {
        Self { inner: Some(inner), hasher: Hasher::default(), ticket: Some(ticket) }
    }

    /// The body first: what is known of the answer is put down when it goes.
    fn finish(&mut self) {
        let was_cut = self.inner.take().is_some_and(|inner| !inner.is_end_stream());
        let Some(ticket) = self.ticket.take() else { return };
        if was_cut {
            ticket.sheet().with(|known| {
                if known.outcome == Outcome::Complete {
                    known.outcome = Outcome::ClientGone;
                }
            });
        }
        ticket.finish(std::mem::take(&mut self.hasher).finish());
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Receipted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.hasher.update(data);
                }
            }
            Some(Err(_)) => {}
            None => {
                self.inner = None;
                self.finish();
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B: Body> Drop for Receipted<B> {
    fn drop(&mut self) {
        self.finish();
    }
}
