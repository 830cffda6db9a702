//! A streamed body that is kept once it has been sent to its end, and only if that end was a good one.
//! Whoever drops it before keeps nothing. What is recorded at once is bounded as what is kept is.

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use http_body::{Body, Frame, SizeHint};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use super::{Shared, Slot};

#[derive(Debug)]
pub struct Recorded<B> {
    body: B,
    /// Whether the body has come to a good end.
    is_complete: fn(&B) -> bool,
    recording: Option<Recording>,
}

struct Recording {
    slot: Option<Slot>,
    provider: Option<HeaderValue>,
    bytes: BytesMut,
    /// Of [`Shared::recording_bytes`].
    held: u64,
    shared: Arc<Shared>,
}

// === impl Recorded ===

impl<B> Recorded<B> {
    /// `is_complete` is asked when `body` has ended.
    pub fn new(
        body: B,
        is_complete: fn(&B) -> bool,
        slot: Slot,
        provider: Option<HeaderValue>,
    ) -> Self {
        let shared = Arc::clone(&slot.shared);
        let slot = Some(slot);
        let recording = Recording { slot, provider, bytes: BytesMut::new(), held: 0, shared };
        Self { body, is_complete, recording: Some(recording) }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Recorded<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                let fits = match (frame.data_ref(), &mut this.recording) {
                    (Some(data), Some(recording)) => recording.add(data),
                    _ => true,
                };
                if !fits {
                    this.recording = None;
                }
            }
            Some(Err(_)) => this.recording = None,
            None => {
                if let Some(recording) = this.recording.take()
                    && (this.is_complete)(&this.body)
                {
                    recording.keep();
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl Recording ===

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recording({} bytes)", self.bytes.len())
    }
}

impl Recording {
    /// Whether the recording goes on.
    fn add(&mut self, data: &Bytes) -> bool {
        let length = data.len() as u64;
        let settings = &self.shared.settings;
        if self.bytes.len() as u64 + length > settings.entry_bytes {
            return false;
        }
        let before = self.shared.recording_bytes.fetch_add(length, Relaxed);
        self.held += length;
        if before + length > settings.bytes {
            return false;
        }
        self.bytes.extend_from_slice(data);
        true
    }

    fn keep(mut self) {
        if let Some(slot) = self.slot.take() {
            slot.keep(&self.bytes, self.provider.take());
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.shared.recording_bytes.fetch_sub(self.held, Relaxed);
    }
}
