//! The body of a stream that is verified: somebody's answer as it comes, its end held back until the
//! verdict; or nothing but signs of life until the verdict, and then the answer that counts.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::HeaderValue;
use http_body::{Body as _, Frame};
use openapi::verification::Verification;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Cx, Poll};
use std::time::Duration;
use tokio::time::Instant;

use super::member::{Asked, Ballot, Reading, Told};
use super::panel::{News, Panel};
use super::{Begun, Chosen, Verdict, completed, verdict};
use crate::consensus::agreement::{Class, Decision};
use crate::consensus::{Key, fork};
use crate::metrics::Outcome;
use crate::stream;
use crate::upstream::attempt::{Context, Exchange};
use crate::upstream::body::{ErrorEvent, Head, KEEP_ALIVE_COMMENT, Streaming};
use crate::upstream::error::Error;
use crate::upstream::opened::Opened;
use crate::upstream::watch::Watch;
use crate::upstream::witness::Answered;

pub(super) type Opening = BoxFuture<'static, (Exchange, Result<Begun, Error>)>;

/// A `text/event-stream`. Dropping it cancels all who were asked.
pub struct Checked {
    phase: State,
    /// Behind `phase`: it sums up what that has spent.
    exchange: Option<Exchange>,
    silence: Watch,
    error_event: ErrorEvent,
    verdict: Arc<Verdict>,
}

enum State {
    Opening(Opening),
    Leading(Box<Leading>),
    /// The leader's end waits for the verdict.
    Concluding(BoxFuture<'static, (Verification, Option<Ballot>)>, Bytes),
    Telling(VecDeque<Bytes>),
    Ended,
}

/// An answer that goes to the client as it comes, and those who are asked beside it.
pub(super) struct Leading {
    streaming: Streaming,
    asked: Asked,
    provider: HeaderValue,
    reading: Reading,
    /// Its end.
    tail: Option<Bytes>,
    decision: Option<Decision>,
    panel: Panel,
}

impl std::fmt::Debug for Checked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match self.phase {
            State::Opening(_) => "opening",
            State::Leading(_) => "leading",
            State::Concluding(..) => "concluding",
            State::Telling(_) => "telling",
            State::Ended => "ended",
        };
        f.debug_tuple("Checked").field(&state).finish()
    }
}

// === impl Checked ===

impl Checked {
    pub(super) fn opening(
        opening: Opening,
        keep_alive: Duration,
        error_event: ErrorEvent,
        verdict: Arc<Verdict>,
    ) -> Self {
        let (phase, silence) = (State::Opening(opening), Watch::new(keep_alive));
        // The exchange is in there.
        Self { phase, exchange: None, silence, error_event, verdict }
    }

    pub(super) fn begun(
        exchange: Exchange,
        begun: Begun,
        error_event: ErrorEvent,
        verdict: Arc<Verdict>,
    ) -> (Head, Self) {
        let provider = match &begun {
            Begun::Leading(leading) => Some(leading.provider.clone()),
            Begun::Settled(chosen) => HeaderValue::try_from(&chosen.ballot.by.provider).ok(),
        };
        let attempts = exchange.record.attempts();
        let silence = Watch::new(exchange.context.limits.keep_alive_comment);
        let (phase, exchange) = (State::Ended, Some(exchange));
        let mut checked = Self { phase, exchange, silence, error_event, verdict };
        checked.begin(begun);
        (Head { provider, attempts, is_hedged: false }, checked)
    }

    fn begin(&mut self, begun: Begun) {
        if let Some(exchange) = &mut self.exchange {
            exchange.record.content();
        }
        self.phase = match begun {
            Begun::Leading(leading) => State::Leading(leading),
            Begun::Settled(chosen) => {
                let Chosen { ballot, verification } = *chosen;
                if let Some(exchange) = &mut self.exchange {
                    completed(exchange, &ballot, &verification);
                }
                let _told = self.verdict.set(verification);
                match ballot.told {
                    Told::Events(events) => State::Telling(events.into()),
                    Told::Whole(_) | Told::Sent => State::Ended,
                }
            }
        };
    }

    fn fail(&mut self, error: Error) -> Bytes {
        self.phase = State::Ended;
        let cause = error.to_string();
        let (event, outcome) = (self.error_event)(error);
        if let Some(exchange) = &mut self.exchange {
            exchange.record.failed(200, outcome, &cause);
        }
        event
    }

    /// What is to be sent next. `None`: nothing more.
    fn poll_next(&mut self, cx: &mut Cx<'_>) -> Poll<Option<Bytes>> {
        loop {
            match &mut self.phase {
                State::Opening(opening) => match opening.as_mut().poll(cx) {
                    Poll::Ready((exchange, begun)) => {
                        self.exchange = Some(exchange);
                        match begun {
                            Ok(begun) => self.begin(begun),
                            Err(error) => return Poll::Ready(Some(self.fail(error))),
                        }
                    }
                    Poll::Pending => return Poll::Pending,
                },
                State::Leading(leading) => match leading.poll_next(cx) {
                    Poll::Ready(None) => self.conclude(),
                    other => return other,
                },
                State::Concluding(concluding, tail) => match concluding.as_mut().poll(cx) {
                    Poll::Ready((verification, ballot)) => {
                        let tail = std::mem::take(tail);
                        self.phase = State::Telling(VecDeque::from([tail]));
                        self.concluded(verification, ballot.as_ref());
                    }
                    Poll::Pending => return Poll::Pending,
                },
                State::Telling(events) => match events.pop_front() {
                    Some(event) => return Poll::Ready(Some(event)),
                    None => self.phase = State::Ended,
                },
                State::Ended => return Poll::Ready(None),
            }
        }
    }

    /// The leader has no more to say: whole, or in the middle, which was told already.
    fn conclude(&mut self) {
        let State::Leading(mut leading) = std::mem::replace(&mut self.phase, State::Ended) else {
            return;
        };
        match leading.tail.take().filter(|_| leading.streaming.is_complete()) {
            Some(tail) => {
                self.phase = State::Concluding(Box::pin(leading.conclude()), tail);
            }
            None => {
                if let Some(exchange) = &mut self.exchange {
                    exchange.record.failed(200, Outcome::Truncated, &Error::Truncated);
                }
            }
        }
    }

    fn concluded(&mut self, verification: Verification, ballot: Option<&Ballot>) {
        if let Some(exchange) = &mut self.exchange {
            verdict::count(&exchange.context, &verification);
            match ballot {
                Some(ballot) => completed(exchange, ballot, &verification),
                None => exchange.record.told_whole(),
            }
        }
        let _told = self.verdict.set(verification);
    }
}

impl http_body::Body for Checked {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Cx<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        match this.poll_next(cx) {
            Poll::Ready(next) => {
                this.silence.touch();
                Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
            }
            Poll::Pending if this.silence.poll(cx).is_ready() => {
                this.silence.touch();
                let comment = Bytes::from_static(KEEP_ALIVE_COMMENT);
                Poll::Ready(Some(Ok(Frame::data(comment))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.phase, State::Ended)
    }
}

// === impl Leading ===

impl Leading {
    pub(super) fn new(
        panel: Panel,
        asked: Asked,
        (mut exchange, opened): (Exchange, Opened),
        error_event: ErrorEvent,
    ) -> Self {
        panel.lead(&mut exchange);
        let provider = opened.attempt.endpoint.id_header.clone();
        let reading = Reading::new(&panel.context, &panel.job, &opened);
        let streaming = Streaming::of(exchange, opened, error_event);
        Self { streaming, asked, provider, reading, tail: None, decision: None, panel }
    }

    fn poll_next(&mut self, cx: &mut Cx<'_>) -> Poll<Option<Bytes>> {
        if self.decision.is_none()
            && let Poll::Ready(News::Decided(decision)) = self.panel.poll(cx)
        {
            self.decision = Some(decision);
        }
        loop {
            let frame = match Pin::new(&mut self.streaming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            };
            let Ok(mut data) = frame.into_data() else { continue };
            self.reading.push(data.clone());
            if let Some(at) = stream::end(&data) {
                self.tail = Some(data.split_off(at));
            }
            if !data.is_empty() {
                return Poll::Ready(Some(data));
            }
        }
    }

    /// Waits for the others, as long as the request may take.
    async fn conclude(mut self: Box<Self>) -> (Verification, Option<Ballot>) {
        let key = self.reading.key(self.asked.form);
        let number = self.asked.number;
        // What another ended is nobody's vote.
        let is_vote = self.streaming.is_whole();
        let own = key.map(|key| self.asked.ballot(key, Some(&self.provider)));
        let mut decision = self.decided(key, is_vote).await;
        let is_known = decision.agreed.contains(&number) || decision.at_fault.contains(&number);
        if let (Some(own), true, false) = (&own, decision.is_reached, is_known) {
            self.compare(own, &mut decision).await;
        }
        let verification = verdict::of(&mut self.panel, &decision, number).await;
        (verification, own)
    }

    async fn decided(&mut self, key: Option<Key>, is_vote: bool) -> Decision {
        if let Some(decision) = self.decision.take() {
            return decision;
        }
        let event = match key.filter(|_| is_vote) {
            Some(key) => self.panel.vote(self.asked.ballot(key, Some(&self.provider))),
            None => self.panel.lost(self.asked.number),
        };
        if let Some(decision) = self.panel.take(event) {
            return decision;
        }
        let (deadline, cut) = (self.panel.job.deadline, self.panel.context.shutdown.cut_token());
        let panel = &mut self.panel;
        let news = tokio::time::timeout_at(deadline, poll_fn(|cx| panel.poll(cx)));
        match cut.run_until_cancelled(news).await {
            Some(Ok(News::Decided(decision))) => decision,
            _ => self.panel.give_up(),
        }
    }

    /// The others agreed without it: whether it is what they agreed on, in other words.
    async fn compare(&mut self, own: &Ballot, decision: &mut Decision) {
        let number = own.member;
        decision.dissent.retain(|member| *member != number);
        let same = {
            let others = decision.agreed.iter().filter_map(|member| self.panel.ballot(*member));
            let mut same = others.filter(|other| other.key.canonical == own.key.canonical);
            same.next().map(|other| other.key.exact == own.key.exact)
        };
        if let Some(is_exact) = same {
            if decision.class == Class::Exact && !is_exact {
                decision.class = Class::Canonical;
            }
            decision.agreed.push(number);
            return;
        }
        let winner = decision.winner.and_then(|winner| self.panel.ballot(winner));
        let pair = winner.and_then(|w| w.answered.clone()).zip(own.answered.clone());
        let (context, deadline) = (self.panel.context.clone(), self.panel.job.deadline);
        match adjudicated(context, deadline, pair).await {
            fork::Verdict::Benign => {
                decision.class = Class::Fork;
                decision.agreed.push(number);
            }
            fork::Verdict::SecondFails => {
                decision.at_fault.push(number);
                decision.dissent.push(number);
            }
            fork::Verdict::FirstFails | fork::Verdict::Unknown => decision.dissent.push(number),
        }
    }
}

/// Whether two answers are one in other words.
async fn adjudicated(
    context: Arc<Context>,
    deadline: Instant,
    pair: Option<(Arc<Answered>, Arc<Answered>)>,
) -> fork::Verdict {
    let ids = |answered: &Answered| answered.progress.ids.first().cloned().unwrap_or_default();
    let Some((one, other)) = pair else { return fork::Verdict::Unknown };
    let Some(at) = fork::at(&ids(&one), &ids(&other)) else { return fork::Verdict::Unknown };
    let (judge, cut) = (context.judge.clone(), context.shutdown.cut_token());
    let judged = judge.fork(context, [one, other], at);
    let judged = cut.run_until_cancelled(tokio::time::timeout_at(deadline, judged)).await;
    judged.and_then(Result::ok).unwrap_or(fork::Verdict::Unknown)
}
