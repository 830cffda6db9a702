//! A connection together with its driver. hyper splits an HTTP/1.1 client into a sender and a future
//! that does the I/O; usually that future is spawned, and each chunk crosses two tasks. Here both
//! stay in one value, polled by whoever waits for the answer.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use std::error::Error as _;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

use super::error::Error;
use super::quiet::Quiet;
use super::way::Io;

pub(super) struct Link {
    sender: http1::SendRequest<Full<Bytes>>,
    connection: http1::Connection<Io, Full<Bytes>>,
    /// When it was last given back.
    pub(super) idle_since: Instant,
    pub(super) is_reused: bool,
    quiet: Quiet,
}

/// Sending failed.
pub(super) struct SendError {
    pub(super) error: Error,
    /// It may have been about the connection alone, which was used before.
    pub(super) stale: Option<Stale>,
}

/// How far a connection got that the provider closed for its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stale {
    /// Not one byte of the request was written.
    Unsent,
    /// The request was written, and the connection ended without an answer.
    Unanswered,
}

impl Link {
    pub(super) fn new(
        sender: http1::SendRequest<Full<Bytes>>,
        connection: http1::Connection<Io, Full<Bytes>>,
    ) -> Box<Self> {
        // Boxed: it is large, and moves between the pool and the bodies.
        let (idle_since, quiet) = (Instant::now(), Quiet::new());
        Box::new(Self { sender, connection, idle_since, is_reused: false, quiet })
    }

    /// Runs the connection's I/O. Ready: it is closed.
    fn poll_io(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        Pin::new(&mut self.connection).poll(cx)
    }

    /// Whether it can take a request now. Runs the I/O, so that a close that came in while it lay in
    /// the pool is seen.
    pub(super) fn is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        self.poll_io(cx).is_pending() && self.sender.is_ready()
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        mut self: Box<Self>,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<LinkBody>, SendError> {
        let is_reused = self.is_reused;
        let result = {
            let Self { sender, connection, quiet, .. } = &mut *self;
            let mut answer = pin!(sender.try_send_request(request));
            poll_fn(|cx| {
                quiet.poll(cx, |cx| {
                    // The order matters: I/O first, then what it brought.
                    let io = Pin::new(&mut *connection).poll(cx);
                    match (answer.as_mut().poll(cx), io) {
                        (Poll::Ready(answer), _) => Poll::Ready(Some(answer)),
                        (Poll::Pending, Poll::Ready(_)) => Poll::Ready(None),
                        (Poll::Pending, Poll::Pending) => Poll::Pending,
                    }
                })
            })
            .await
        };
        match result {
            Some(Ok(response)) => {
                let (parts, body) = response.into_parts();
                Ok(Response::from_parts(parts, LinkBody { body, carrier: Carrier::Own(self) }))
            }
            Some(Err(mut failed)) => {
                let stale = match failed.take_message() {
                    _ if !is_reused => None,
                    Some(_) => Some(Stale::Unsent),
                    None => is_closed(failed.error()).then_some(Stale::Unanswered),
                };
                Err(SendError { error: Error::Broken(failed.error().to_string()), stale })
            }
            None => Err(SendError {
                error: Error::Broken("closed before the answer".to_owned()),
                stale: is_reused.then_some(Stale::Unanswered),
            }),
        }
    }
}

/// An answer's body. Dropping it before its end cancels the request.
pub(super) struct LinkBody {
    body: Incoming,
    carrier: Carrier,
}

/// What the body comes over.
enum Carrier {
    /// A connection that is driven here.
    Own(Box<Link>),
    /// It was one, and is closed: there is what was read before.
    Closed,
    /// A tunnel, driven by a task of its own.
    Shared,
}

impl LinkBody {
    pub(super) fn shared(body: Incoming) -> Self {
        Self { body, carrier: Carrier::Shared }
    }

    /// The next data of the body; `None` at its end. Trailers are dropped.
    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let Self { body, carrier } = self;
        let open = match carrier {
            Carrier::Own(link) => link,
            Carrier::Shared => return poll_body(body, cx),
            // What was read before the connection closed; then the end, or the lack of one.
            Carrier::Closed => {
                return Poll::Ready(match poll_body(body, cx) {
                    Poll::Ready(data) => data,
                    Poll::Pending => Some(Err(Error::Truncated)),
                });
            }
        };
        let Link { connection, quiet, .. } = &mut **open;
        let mut is_closed = false;
        let data = quiet.poll(cx, |cx| {
            let data = poll_body(body, cx);
            if data.is_ready() {
                return data;
            }
            // Nothing there: do the I/O, and look again.
            is_closed |= Pin::new(&mut *connection).poll(cx).is_ready();
            let data = poll_body(body, cx);
            if is_closed && data.is_pending() {
                return Poll::Ready(Some(Err(Error::Truncated)));
            }
            data
        });
        if is_closed || matches!(data, Poll::Ready(Some(Err(_)))) {
            // What was read before the close is still in the body.
            *carrier = Carrier::Closed;
        }
        data
    }

    /// Whether all of the body has been read.
    pub(super) fn is_end(&self) -> bool {
        self.body.is_end_stream()
    }

    /// The connection, if it can carry another request. Only after the body's end.
    pub(super) fn into_link(self, cx: &mut Context<'_>) -> Option<Box<Link>> {
        let Carrier::Own(mut link) = self.carrier else { return None };
        drop(self.body);
        link.is_ready(cx).then_some(link)
    }
}

/// The connection ended, by the book or by a reset; the provider did not say anything wrong.
fn is_closed(error: &hyper::Error) -> bool {
    let io = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    error.is_incomplete_message() || error.is_canceled() || io.is_some()
}

fn poll_body(body: &mut Incoming, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
    loop {
        match ready!(Pin::new(&mut *body).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                Ok(_) | Err(_) => {}
            },
            Some(Err(error)) => return Poll::Ready(Some(Err(Error::Broken(error.to_string())))),
            None => return Poll::Ready(None),
        }
    }
}
