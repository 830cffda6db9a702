//! The body of a streamed response: polls the chat stream inside it, in the client's own task, so that
//! dropping it cancels what feeds it.

use axum::body::Body;
use bytes::Bytes;
use http_body::Frame;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Cx, Poll, ready};

use crate::clock::Clock;
use crate::responses::Events;

#[derive(Debug)]
pub(super) struct Translating {
    /// `None` once it is of no more use.
    inner: Option<Body>,
    events: Events,
    clock: Arc<dyn Clock>,
}

// === impl Translating ===

impl Translating {
    pub(super) fn new(inner: Body, events: Events, clock: Arc<dyn Clock>) -> Self {
        Self { inner: Some(inner), events, clock }
    }
}

impl http_body::Body for Translating {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        loop {
            let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
            let bytes = match ready!(Pin::new(inner).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    this.events.push(&data, this.clock.unix_s())
                }
                Some(Err(_)) | None => {
                    this.inner = None;
                    this.events.finish()
                }
            };
            if this.events.is_broken() {
                this.inner = None;
            }
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_none()
    }
}
