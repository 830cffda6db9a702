//! The body of a streamed answer: relays, keeps the connection alive in silence, and ends with an
//! error event when the provider does not end with an answer.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::Frame;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context as Cx, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

use super::attempt::{Exchange, Goal, Good, Try, note};
use super::error::{Error, Phase};
use super::opened::Opened;
use super::pace::Pace;
use super::resume::{Lost, Turns};
use super::watch::{Expired, Watch};
use crate::metrics::{Held, Outcome};

/// Bytes read ahead of the client before they are sent on.
const BATCH_BYTES: usize = 16 * 1024;
/// A client that does not come for more for so long holds the answer up.
const HELD_UP: Duration = Duration::from_millis(500);
pub(super) const KEEP_ALIVE_COMMENT: &[u8] = b": keep-alive\n\n";

/// Prints an error as the last event of a stream, and says how it counts. Given by the error door,
/// so that this module knows no HTTP errors.
pub type ErrorEvent = fn(Error) -> (Bytes, Outcome);

/// Its provider's failure, until somebody has gone on.
struct Resuming {
    next: BoxFuture<'static, (Lost, Option<Try>)>,
    failure: Error,
    open_stream: Held,
}

type Opening = BoxFuture<'static, (Exchange, Result<Opened, Error>)>;

/// What is known when the status line goes out.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// Absent while the first content is still to come.
    pub provider: Option<http::HeaderValue>,
    pub attempts: u32,
    /// Two providers were asked at once.
    pub is_hedged: bool,
}

/// A `text/event-stream`. Dropping it cancels the attempt.
pub struct Streaming {
    state: State,
    silence: Watch,
    error_event: ErrorEvent,
    /// It ended with an answer, and not with an error.
    is_complete: bool,
    /// Somebody went on with what another began.
    is_pieced: bool,
}

enum State {
    Opening(Opening),
    Relaying(Box<Relaying>),
    /// Somebody is looked for to go on with the answer.
    Resuming(Resuming),
    /// To be told in this event, behind what still waits.
    Failed(Option<Bytes>, Bytes),
    Ended,
}

struct Relaying {
    exchange: Exchange,
    opened: Opened,
    pace: Pace,
    is_complete: bool,
    /// To be told once what came before it has been sent.
    failure: Option<Error>,
    turns: Turns,
    /// When the client was given something, until it asks for more.
    handed: Option<Instant>,
    open_stream: Held,
}

impl std::fmt::Debug for Streaming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match self.state {
            State::Opening(_) => "opening",
            State::Relaying(_) => "relaying",
            State::Resuming(_) => "resuming",
            State::Failed(..) => "failed",
            State::Ended => "ended",
        };
        f.debug_tuple("Streaming").field(&state).finish()
    }
}

/// Waits for the first content, so that failures before it stay HTTP errors, but at most
/// `limits.hold`: then the stream begins with a comment and the attempts go on inside it.
pub async fn stream(
    exchange: Exchange,
    error_event: ErrorEvent,
) -> Result<(Head, Streaming), (Exchange, Error)> {
    let limits = &exchange.context.limits;
    let (hold, keep_alive) = (limits.hold, limits.keep_alive_comment);
    let mut opening: Opening = Box::pin(open(exchange));
    let state = match tokio::time::timeout(hold, &mut opening).await {
        Ok((exchange, Ok(opened))) => State::Relaying(Relaying::new(exchange, opened)),
        Ok((exchange, Err(error))) => return Err((exchange, error)),
        Err(_) => State::Opening(opening),
    };
    let head = match &state {
        State::Relaying(relaying) => Head {
            provider: Some(relaying.opened.attempt.endpoint.id_header.clone()),
            attempts: relaying.exchange.record.attempts(),
            is_hedged: relaying.exchange.record.is_hedged(),
        },
        _ => Head::default(),
    };
    Ok((
        head,
        Streaming {
            state,
            silence: Watch::new(keep_alive),
            error_event,
            is_complete: false,
            is_pieced: false,
        },
    ))
}

pub(super) async fn open(mut exchange: Exchange) -> (Exchange, Result<Opened, Error>) {
    let result = match exchange.run(Goal::FirstContent).await {
        Ok(Good::Opened(opened)) => Ok(opened),
        Ok(Good::Whole(_)) => Err(Error::NotAStream("a whole answer".to_owned())),
        Err(error) => Err(error),
    };
    (exchange, result)
}

impl Relaying {
    fn new(mut exchange: Exchange, opened: Opened) -> Box<Self> {
        exchange.record.content();
        let open_stream = Held::new(&exchange.context.metrics.open_streams);
        Self::going_on(exchange, opened, Turns::default(), open_stream)
    }

    fn going_on(
        mut exchange: Exchange,
        opened: Opened,
        turns: Turns,
        open_stream: Held,
    ) -> Box<Self> {
        exchange.record.came(opened.progress().text_bytes);
        let is_complete = opened.said.is_over;
        let limit = exchange.context.limits.stall;
        let pace = Pace::new(&opened.attempt.model, limit).until(exchange.job.deadline);
        let (failure, handed) = (None, None);
        Box::new(Self { exchange, opened, pace, is_complete, failure, turns, handed, open_stream })
    }

    /// The next bytes for the client: all that can be read now, but never waiting for more. `None`
    /// after the last.
    fn poll_next(&mut self, cx: &mut Cx<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if self.handed.take().is_some_and(|at| at.elapsed() > HELD_UP) {
            self.opened.attempt.held_up();
        }
        let next = self.poll_pieces(cx);
        if next.is_ready() {
            self.handed = Some(Instant::now());
        }
        next
    }

    fn poll_pieces(&mut self, cx: &mut Cx<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            let is_full = self.opened.said.out.len_bytes() >= BATCH_BYTES;
            if is_full && let Poll::Ready(error) = self.poll_due(cx) {
                // A flood never comes to rest, where the time is looked at otherwise.
                self.cut_short(error);
            }
            if is_full || self.is_complete {
                return Poll::Ready(self.opened.said.take().map(Ok));
            }
            if let Some(error) = self.failure.take() {
                return Poll::Ready(Some(Err(error)));
            }
            match self.opened.poll_pull(cx) {
                Poll::Ready(Ok(is_more)) => {
                    self.is_complete = !is_more;
                    let progress = self.opened.said.relay.progress();
                    self.exchange.record.came(progress.text_bytes);
                    self.pace.came(progress);
                    self.opened.attempt.came(progress);
                }
                Poll::Ready(Err(error)) => {
                    // What came before the failure goes first.
                    let before = self.opened.said.take().map(Ok);
                    if before.is_none() {
                        return Poll::Ready(Some(Err(error)));
                    }
                    self.failure = Some(error);
                    return Poll::Ready(before);
                }
                Poll::Pending if !self.opened.said.out.is_empty() => {
                    return Poll::Ready(self.opened.said.take().map(Ok));
                }
                Poll::Pending => {
                    let error = ready!(self.poll_due(cx));
                    self.cut_short(error);
                }
            }
        }
    }

    /// Why the stream must end now.
    fn poll_due(&mut self, cx: &mut Cx<'_>) -> Poll<Error> {
        if self.exchange.context.shutdown.is_cut() {
            return Poll::Ready(Error::Draining);
        }
        self.pace.poll(cx).map(|expired| {
            Error::Timeout(match expired {
                Expired::Idle => Phase::MidStream,
                Expired::End => Phase::Request,
            })
        })
    }

    /// Ends the stream before the provider does: whole, where only the end was missing.
    fn cut_short(&mut self, error: Error) {
        if !self.opened.progress().finished {
            self.failure = Some(error);
            return;
        }
        match self.opened.said.close() {
            Ok(()) => self.is_complete = true,
            Err(error) => self.failure = Some(error),
        }
    }

    fn complete(mut self: Box<Self>, cx: &mut Cx<'_>) {
        self.exchange.record.completed(self.opened.progress());
        let Self { exchange, mut opened, .. } = *self;
        opened.succeeded(&exchange.context, &exchange.job);
        opened.attempt.recycle(&exchange.context, cx);
    }

    /// The provider has failed: somebody else is to go on, or the failure is the end.
    fn break_off(mut self: Box<Self>, error: Error) -> Result<Resuming, Error> {
        self.opened.attempt.failed(&error);
        let attempt = &self.opened.attempt;
        note(&attempt.endpoint, attempt.member.as_ref(), &error);
        let Self { mut exchange, opened, turns, open_stream, .. } = *self;
        if !turns.may_go_on(&error) {
            exchange.record.broke(opened.progress(), &error);
            return Err(error);
        }
        exchange.record.failed_attempt(&opened.attempt.endpoint, &error);
        let next = Box::pin(Lost::new(exchange, opened, turns).go_on());
        Ok(Resuming { next, failure: error, open_stream })
    }
}

impl http_body::Body for Streaming {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        loop {
            let next = match &mut this.state {
                State::Opening(opening) => match opening.as_mut().poll(cx) {
                    Poll::Ready((exchange, Ok(opened))) => {
                        this.state = State::Relaying(Relaying::new(exchange, opened));
                        continue;
                    }
                    Poll::Ready((mut exchange, Err(error))) => {
                        this.state = State::Ended;
                        let cause = error.to_string();
                        let (event, outcome) = (this.error_event)(error);
                        exchange.record.failed(200, outcome, &cause);
                        return Poll::Ready(Some(Ok(Frame::data(event))));
                    }
                    Poll::Pending => Poll::Pending,
                },
                State::Relaying(relaying) => relaying.poll_next(cx),
                State::Resuming(resuming) => match resuming.next.as_mut().poll(cx) {
                    Poll::Ready((lost, attempt)) => {
                        this.go_on(lost, attempt);
                        continue;
                    }
                    Poll::Pending => Poll::Pending,
                },
                State::Failed(before, event) => {
                    let next = before.take().unwrap_or_else(|| std::mem::take(event));
                    if event.is_empty() {
                        this.state = State::Ended;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(next))));
                }
                State::Ended => return Poll::Ready(None),
            };
            match next {
                Poll::Ready(Some(Ok(bytes))) => {
                    this.silence.touch();
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Poll::Ready(Some(Err(error))) => {
                    this.break_off(error);
                }
                Poll::Ready(None) => {
                    if let State::Relaying(relaying) = this.leave() {
                        relaying.complete(cx);
                    }
                    this.is_complete = true;
                    return Poll::Ready(None);
                }
                Poll::Pending if this.silence.poll(cx).is_ready() => {
                    this.silence.touch();
                    let comment = Bytes::from_static(KEEP_ALIVE_COMMENT);
                    return Poll::Ready(Some(Ok(Frame::data(comment))));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Ended)
    }
}

impl Streaming {
    /// Of a stream whose first content is here.
    pub(super) fn of(exchange: Exchange, opened: Opened, error_event: ErrorEvent) -> Self {
        let silence = Watch::new(exchange.context.limits.keep_alive_comment);
        let state = State::Relaying(Relaying::new(exchange, opened));
        Self { state, silence, error_event, is_complete: false, is_pieced: false }
    }

    /// Whether it has come to a good end.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Whether it has come to a good end, and is one provider's.
    pub fn is_whole(&self) -> bool {
        self.is_complete && !self.is_pieced
    }

    fn leave(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Ended)
    }

    /// The provider has failed: somebody else is to go on, or the failure is the end.
    fn break_off(&mut self, error: Error) {
        let State::Relaying(relaying) = self.leave() else { return };
        self.state = match relaying.break_off(error) {
            Ok(resuming) => State::Resuming(resuming),
            Err(error) => State::Failed(None, (self.error_event)(error).0),
        };
    }

    /// Somebody goes on, or nobody does.
    fn go_on(&mut self, lost: Lost, attempt: Option<Try>) {
        let State::Resuming(Resuming { failure, open_stream, .. }) = self.leave() else { return };
        let Lost { mut exchange, mut said, turns, .. } = lost;
        self.state = match attempt {
            Some(attempt) => {
                self.is_pieced = true;
                let opened = Opened { attempt, said };
                State::Relaying(Relaying::going_on(exchange, opened, turns, open_stream))
            }
            None => {
                exchange.record.broke(said.relay.progress(), &failure);
                // Whoever went on and failed at once may have brought something.
                let before = if said.relay.has_news() { said.take() } else { None };
                State::Failed(before, (self.error_event)(failure).0)
            }
        };
    }
}
