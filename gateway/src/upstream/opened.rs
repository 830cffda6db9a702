//! An attempt together with the relay of its stream.

use std::future::poll_fn;
use std::task::{Context as Cx, Poll, ready};

use super::attempt::{Context, Try};
use super::error::{Error, Phase};
use super::request::Job;
use crate::stream::{self, Out, Progress, Relay};

/// A stream whose first content is here. What the client is to get waits in `out`.
pub(super) struct Opened {
    pub(super) attempt: Try,
    relay: Relay,
    pub(super) out: Out,
    /// The answer was complete with its first content.
    pub(super) is_over: bool,
    /// Bytes that may wait for the first content.
    held_max: usize,
}

impl Opened {
    /// Reads `attempt` up to its first content.
    pub(super) async fn new(context: &Context, job: &Job, mut attempt: Try) -> Result<Self, Error> {
        if !attempt.is_event_stream() {
            let error = Error::NotAStream("something else than an event stream".to_owned());
            attempt.failed(&error);
            return Err(error);
        }
        let mut opened = Self {
            relay: Relay::new(job.plan(context, &attempt.model)),
            attempt,
            out: Out::default(),
            is_over: false,
            held_max: context.limits.event_bytes,
        };
        let content = poll_fn(|cx| opened.poll_content(cx));
        let result = tokio::time::timeout(context.limits.first_content, content)
            .await
            .unwrap_or(Err(Error::Timeout(Phase::FirstContent)));
        if let Err(error) = result {
            opened.attempt.failed(&error);
            return Err(error);
        }
        opened.attempt.content();
        Ok(opened)
    }

    fn poll_content(&mut self, cx: &mut Cx<'_>) -> Poll<Result<(), Error>> {
        while !self.relay.progress().content_seen {
            if !ready!(self.poll_pull(cx))? {
                self.is_over = true;
                break;
            }
            // Nobody reads it yet, so nothing else holds back a flood of comments and empty deltas.
            if self.out.len_bytes() > self.held_max && !self.relay.progress().content_seen {
                let what = format!("more than {} bytes before its first content", self.held_max);
                return Poll::Ready(Err(Error::Stream(what)));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Moves one upstream chunk through the relay. `false`: the answer is complete.
    pub(super) fn poll_pull(&mut self, cx: &mut Cx<'_>) -> Poll<Result<bool, Error>> {
        let pulled = match ready!(self.attempt.body.poll_data(cx)) {
            Some(Ok(chunk)) => {
                self.relay.push(chunk, &mut self.out).map(|()| !self.relay.progress().done)
            }
            // A connection that breaks after the last event has done its work.
            Some(Err(error)) if !self.relay.progress().finished => return Poll::Ready(Err(error)),
            Some(Err(_)) | None => self.relay.finish(&mut self.out).map(|_| false),
        };
        Poll::Ready(pulled.map_err(Error::from))
    }

    /// Ends the relay though the body goes on: every choice has its finish reason.
    pub(super) fn close(&mut self) -> Result<(), Error> {
        self.relay.finish(&mut self.out)?;
        Ok(())
    }

    /// The answer is complete.
    pub(super) fn succeeded(&mut self) {
        self.attempt.succeeded(self.relay.progress());
    }

    pub(super) fn progress(&self) -> &Progress {
        self.relay.progress()
    }
}

impl From<stream::Error> for Error {
    fn from(error: stream::Error) -> Self {
        match error {
            stream::Error::Truncated => Self::Truncated,
            stream::Error::ErrorEvent(error) => Self::from_event(error),
            other => Self::Stream(other.to_string()),
        }
    }
}
