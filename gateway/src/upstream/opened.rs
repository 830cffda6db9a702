//! An attempt together with the relay of its stream; the relay outlives the attempt where another
//! provider goes on with the answer.

use bytes::{Bytes, BytesMut};
use std::future::poll_fn;
use std::task::{Context as Cx, Poll, ready};
use std::time::Duration;

use super::attempt::{Context, Try};
use super::error::{Error, Phase};
use super::request::Job;
use super::resume;
use super::watch::Watch;
use crate::stream::{self, Out, Progress, Relay};

/// A stream whose first content is here. What the client is to get waits in `said.out`.
pub(super) struct Opened {
    pub(super) attempt: Try,
    pub(super) said: Saying,
}

/// The answer as the client gets it, whoever gives it.
pub(super) struct Saying {
    pub(super) relay: Relay,
    pub(super) out: Out,
    /// The answer was complete with its first content.
    pub(super) is_over: bool,
    /// Bytes that may wait for the first content.
    held_max: usize,
}

// === impl Opened ===

impl Opened {
    /// Reads `attempt` up to its first content.
    pub(super) async fn new(context: &Context, job: &Job, mut attempt: Try) -> Result<Self, Error> {
        let relay = Relay::new(job.plan(context, &attempt.model));
        let keeps = resume::needs_text(job, &attempt.model);
        let relay = if keeps { relay.keeping_text() } else { relay };
        let relay = match attempt.drawn(context, job) {
            Some(choice) => relay.checking(choice),
            None => relay,
        };
        let mut said = Saying::new(relay, context.limits.event_bytes);
        said.open(&mut attempt, context.limits.first_content).await?;
        Ok(Self { attempt, said })
    }

    /// Moves one upstream chunk through the relay. `false`: the answer is complete.
    pub(super) fn poll_pull(&mut self, cx: &mut Cx<'_>) -> Poll<Result<bool, Error>> {
        self.said.poll_pull(&mut self.attempt, cx)
    }

    /// The answer is complete.
    pub(super) fn succeeded(&mut self, context: &Context, job: &Job) {
        let relay = &self.said.relay;
        self.attempt.succeeded(relay.progress());
        self.attempt.witnessed(context, job, relay.progress(), relay.checkable());
    }

    pub(super) fn progress(&self) -> &Progress {
        self.said.relay.progress()
    }
}

// === impl Saying ===

impl Saying {
    /// At most `held_max` bytes wait for the first content.
    pub(super) fn new(relay: Relay, held_max: usize) -> Self {
        Self { relay, out: Out::default(), is_over: false, held_max }
    }

    /// Reads `attempt` up to content that the client does not have.
    pub(super) async fn open(&mut self, attempt: &mut Try, limit: Duration) -> Result<(), Error> {
        let result = if attempt.is_event_stream() {
            let mut quiet = Watch::new(limit);
            poll_fn(|cx| match self.poll_content(attempt, &mut quiet, cx) {
                Poll::Ready(result) => Poll::Ready(result),
                Poll::Pending => {
                    ready!(quiet.poll(cx));
                    Poll::Ready(Err(Error::Timeout(Phase::FirstContent)))
                }
            })
            .await
        } else {
            Err(Error::NotAStream("something else than an event stream".to_owned()))
        };
        match &result {
            Ok(()) => attempt.content(),
            Err(error) => attempt.failed(error),
        }
        result
    }

    /// Tokens that are told ahead of their text put the end of `quiet` off: a call is held back until it
    /// is whole.
    fn poll_content(
        &mut self,
        attempt: &mut Try,
        quiet: &mut Watch,
        cx: &mut Cx<'_>,
    ) -> Poll<Result<(), Error>> {
        while !self.relay.has_news() {
            let told = self.relay.progress().tokens_told();
            if !ready!(self.poll_pull(attempt, cx))? {
                self.is_over = true;
                break;
            }
            if self.relay.progress().tokens_told() > told {
                attempt.tokens();
                quiet.touch();
            }
            // Nobody reads it yet, so nothing else holds back a flood of comments and empty deltas.
            if self.out.len_bytes() > self.held_max && !self.relay.has_news() {
                let what = format!("more than {} bytes before its first content", self.held_max);
                return Poll::Ready(Err(Error::Stream(what)));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_pull(&mut self, attempt: &mut Try, cx: &mut Cx<'_>) -> Poll<Result<bool, Error>> {
        let pulled = match ready!(attempt.body.poll_data(cx)) {
            Some(Ok(chunk)) => {
                self.relay.push(chunk, &mut self.out).map(|()| !self.relay.progress().done)
            }
            // A connection that breaks after the last event has done its work.
            Some(Err(error)) if !self.relay.progress().finished => return Poll::Ready(Err(error)),
            Some(Err(_)) | None => self.relay.finish(&mut self.out).map(|_| false),
        };
        Poll::Ready(pulled.map_err(Error::from))
    }

    /// What waits, as one piece: a client's frame has a price of its own. A single piece is not copied.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        let out = &mut self.out;
        if out.pieces() < 2 {
            return out.pop();
        }
        let mut batch = BytesMut::with_capacity(out.len_bytes());
        while let Some(piece) = out.pop() {
            batch.extend_from_slice(&piece);
        }
        Some(batch.freeze())
    }

    /// Ends the relay though the body goes on: every choice has its finish reason.
    pub(super) fn close(&mut self) -> Result<(), Error> {
        self.relay.finish(&mut self.out)?;
        Ok(())
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
