//! A connection together with its driver. hyper splits an HTTP/1.1 client into a sender and a future
//! that does the I/O; usually that future is spawned, and each chunk crosses two tasks. Here both
//! stay in one value, polled by whoever waits for the answer.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::time::Instant;

use super::connect::Io;
use super::error::Error;

pub(super) struct Link {
    sender: http1::SendRequest<Full<Bytes>>,
    connection: http1::Connection<Io, Full<Bytes>>,
    /// When it was last given back.
    pub(super) idle_since: Instant,
    pub(super) is_reused: bool,
}

/// Sending failed; `unsent` when not one byte of the request was written.
pub(super) struct SendError {
    pub(super) error: Error,
    pub(super) is_unsent: bool,
}

impl Link {
    pub(super) fn new(
        sender: http1::SendRequest<Full<Bytes>>,
        connection: http1::Connection<Io, Full<Bytes>>,
    ) -> Box<Self> {
        // Boxed: it is large, and moves between the pool and the bodies.
        Box::new(Self { sender, connection, idle_since: Instant::now(), is_reused: false })
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
            let mut answer = pin!(self.sender.try_send_request(request));
            let connection = &mut self.connection;
            poll_fn(|cx| {
                // The order matters: I/O first, then what it brought.
                let io = Pin::new(&mut *connection).poll(cx);
                match (answer.as_mut().poll(cx), io) {
                    (Poll::Ready(answer), _) => Poll::Ready(Some(answer)),
                    (Poll::Pending, Poll::Ready(_)) => Poll::Ready(None),
                    (Poll::Pending, Poll::Pending) => Poll::Pending,
                }
            })
            .await
        };
        match result {
            Some(Ok(response)) => {
                let (parts, body) = response.into_parts();
                Ok(Response::from_parts(parts, LinkBody { body, link: Some(self) }))
            }
            Some(Err(mut failed)) => {
                let is_unsent = is_reused && failed.take_message().is_some();
                Err(SendError { error: Error::Broken(failed.error().to_string()), is_unsent })
            }
            None => Err(SendError {
                error: Error::Broken("closed before the answer".to_owned()),
                is_unsent: false,
            }),
        }
    }
}

/// An answer's body that drives its own connection.
pub(super) struct LinkBody {
    body: Incoming,
    link: Option<Box<Link>>,
}

impl LinkBody {
    /// The next data of the body; `None` at its end. Trailers are dropped.
    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        // At most twice around: once for what is there, once for what the I/O brings.
        let mut has_done_io = false;
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                    Ok(_) | Err(_) => has_done_io = false,
                },
                Poll::Ready(Some(Err(error))) => {
                    self.link = None;
                    return Poll::Ready(Some(Err(Error::Broken(error.to_string()))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending if has_done_io => return Poll::Pending,
                Poll::Pending => {
                    has_done_io = true;
                    let Some(link) = &mut self.link else {
                        return Poll::Ready(Some(Err(Error::Truncated)));
                    };
                    if link.poll_io(cx).is_ready() {
                        // Closed. What it had read before is still in the body's channel.
                        self.link = None;
                    }
                }
            }
        }
    }

    /// Whether all of the body has been read.
    pub(super) fn is_end(&self) -> bool {
        self.body.is_end_stream()
    }

    /// The connection, if it can carry another request. Only after the body's end.
    pub(super) fn into_link(self, cx: &mut Context<'_>) -> Option<Box<Link>> {
        let mut link = self.link?;
        drop(self.body);
        link.is_ready(cx).then_some(link)
    }
}
