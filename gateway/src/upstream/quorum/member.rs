//! One of those who are asked for the same answer: its exchange, and the answer as the client would get
//! it. It goes its way to the end or fails; nobody goes on with another's vote.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::HeaderValue;
use http_body::Body as _;
use openapi::verification::Party;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use crate::consensus::{Form, Key, key};
use crate::stream::{Assembler, Progress};
use crate::upstream::attempt::{Context, Exchange};
use crate::upstream::body::{self, ErrorEvent, KEEP_ALIVE_COMMENT, Streaming};
use crate::upstream::error::Error;
use crate::upstream::opened::Opened;
use crate::upstream::request::Job;
use crate::upstream::whole;
use crate::upstream::witness::{Answered, Keep};

/// An answer, as the client would get it.
#[derive(Debug)]
pub(super) enum Told {
    Whole(Bytes),
    Events(Vec<Bytes>),
    /// It has it already.
    Sent,
}

/// One answer, and what it is compared by.
#[derive(Debug)]
pub(super) struct Ballot {
    pub(super) member: usize,
    pub(super) by: Party,
    pub(super) told: Told,
    pub(super) key: Key,
    /// Absent: it cannot be checked.
    pub(super) answered: Option<Arc<Answered>>,
    pub(super) progress: Progress,
}

/// What comes of a member.
pub(super) enum Came {
    /// Its first content; the rest is still to come.
    Opened(Asked, Box<(Exchange, Opened)>),
    Ballot(Box<Ballot>),
    Failed(Error),
}

/// Who was asked, by number.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) number: usize,
    /// Absent: whoever the route chose.
    pub(super) by: Option<Party>,
    pub(super) keep: Keep,
    pub(super) form: Form,
}

// === impl Asked ===

impl Asked {
    pub(super) fn begin(self, mut exchange: Exchange) -> BoxFuture<'static, Came> {
        if exchange.is_stream() {
            return Box::pin(async move {
                let (exchange, opened) = body::open(exchange).await;
                match opened {
                    Ok(opened) => Came::Opened(self, Box::new((exchange, opened))),
                    Err(error) => Came::Failed(error),
                }
            });
        }
        Box::pin(async move {
            let answer = match whole::whole(&mut exchange).await {
                Ok(answer) => answer,
                Err(error) => return Came::Failed(error),
            };
            let whole::Answer { body, provider, progress, .. } = answer;
            match key::of(&body, self.form) {
                Some(key) => Came::Ballot(Box::new(Ballot {
                    told: Told::Whole(body),
                    progress,
                    ..self.ballot(key, Some(&provider))
                })),
                None => Came::Failed(unusable()),
            }
        })
    }

    /// Reads a stream that nobody else reads to its end.
    pub(super) fn gather(
        self,
        opened: Box<(Exchange, Opened)>,
        error_event: ErrorEvent,
    ) -> BoxFuture<'static, Came> {
        Box::pin(async move {
            let (exchange, opened) = *opened;
            let provider = opened.attempt.endpoint.id_header.clone();
            let bytes_max = exchange.context.limits.answer_bytes;
            let mut reading = Reading::new(&exchange.context, &exchange.job, &opened);
            let mut streaming = Streaming::of(exchange, opened, error_event);
            let (mut events, mut bytes) = (Vec::new(), 0);
            while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut streaming).poll_frame(cx)).await
            {
                let Ok(data) = frame.into_data() else { continue };
                if *data == *KEEP_ALIVE_COMMENT {
                    continue;
                }
                bytes += data.len() as u64;
                if bytes > bytes_max {
                    return Came::Failed(Error::Stream("the answer is too large".to_owned()));
                }
                reading.push(data.clone());
                events.push(data);
            }
            if !streaming.is_whole() {
                return Came::Failed(Error::Truncated);
            }
            match reading.key(self.form) {
                Some(key) => Came::Ballot(Box::new(Ballot {
                    told: Told::Events(events),
                    ..self.ballot(key, Some(&provider))
                })),
                None => Came::Failed(unusable()),
            }
        })
    }

    /// Of an answer that the client has.
    pub(super) fn ballot(&self, key: Key, provider: Option<&HeaderValue>) -> Ballot {
        let answered = self.keep.get().cloned();
        let by = self.by.clone().or_else(|| answered.as_deref().map(party)).unwrap_or_else(|| {
            let provider = provider.and_then(|name| name.to_str().ok()).unwrap_or_default();
            Party { provider: provider.to_owned(), operator: String::new() }
        });
        Ballot {
            member: self.number,
            by,
            told: Told::Sent,
            key,
            progress: answered.as_ref().map(|a| a.progress.clone()).unwrap_or_default(),
            answered,
        }
    }
}

fn party(answered: &Answered) -> Party {
    let member = &answered.member;
    Party { provider: member.provider.to_string(), operator: member.operator.to_string() }
}

fn unusable() -> Error {
    Error::Stream("the answer can't be compared".to_owned())
}

/// The events of a stream as a whole answer, for what it says.
pub(super) struct Reading(Option<Assembler>);

// === impl Reading ===

impl Reading {
    pub(super) fn new(context: &Context, job: &Job, opened: &Opened) -> Self {
        Self(Some(Assembler::new(job.plan(context, &opened.attempt.model))))
    }

    pub(super) fn push(&mut self, data: Bytes) {
        if self.0.as_mut().is_some_and(|assembler| assembler.push(data).is_err()) {
            self.0 = None;
        }
    }

    /// `None`: it is no whole answer.
    pub(super) fn key(&mut self, form: Form) -> Option<Key> {
        let answer = self.0.take()?.finish().ok()?;
        key::of(&answer.body, form)
    }
}
