//! Whole answers: assembled from a stream, as providers are always asked for one, or taken as they
//! come from a provider that does not stream.

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context as Cx, Poll, ready};

use super::attempt::{Context, Exchange, Goal, Good, Try, ask, note};
use super::endpoint::Endpoint;
use super::error::{Error, Phase};
use super::explain::Why;
use super::pace::Pace;
use super::request::Job;
use super::resume::{Next, Search, Turns};
use super::vectors;
use super::watch::{Expired, Watch};
use crate::market::{Member, Model};
use crate::request;
use crate::stream::{self, Assembler, Checkable, Progress};

/// A whole answer, ready to be sent.
#[derive(Debug)]
pub struct Answer {
    pub body: Bytes,
    pub provider: http::HeaderValue,
    pub(super) progress: Progress,
    /// Who went on where it broke off.
    went_on: WentOn,
}

type WentOn = SmallVec<[(Arc<Endpoint>, Option<Arc<Member>>, Arc<Model>); 2]>;

/// Runs the exchange to the end of an answer.
pub async fn whole(exchange: &mut Exchange) -> Result<Answer, Error> {
    match exchange.run(Goal::Whole).await? {
        Good::Whole(answer) => {
            for (endpoint, member, model) in &answer.went_on {
                let asked = (&**endpoint, member.as_ref());
                exchange.record.attempt(asked, &model.id, Why::Resume);
            }
            exchange.record.completed(&answer.progress);
            Ok(answer)
        }
        Good::Opened(_) => Err(Error::NotAStream("an unfinished stream".to_owned())),
    }
}

/// Reads `attempt` to its end, and that of others that go on where it breaks off.
pub(super) async fn collect(
    context: &Context,
    job: &Job,
    mut attempt: Try,
) -> Result<Answer, Error> {
    let mut went_on = SmallVec::new();
    let result = if attempt.is_event_stream() {
        assemble(context, job, &mut attempt, &mut went_on).await
    } else if attempt.is_json() {
        let read = read_json(context, job, &mut attempt).await;
        read.map(|(body, progress)| (body, progress, None))
    } else {
        Err(Error::NotAStream("neither an event stream nor JSON".to_owned()))
    };
    match result {
        Ok((body, progress, checkable)) => {
            attempt.succeeded(&progress);
            attempt.witnessed(context, job, &progress, checkable);
            let provider = attempt.endpoint.id_header.clone();
            let mut attempt = Some(attempt);
            poll_fn(|cx| {
                if let Some(attempt) = attempt.take() {
                    attempt.recycle(context, cx);
                }
                Poll::Ready(())
            })
            .await;
            Ok(Answer { body, provider, progress, went_on })
        }
        Err(error) => {
            attempt.failed(&error);
            Err(error)
        }
    }
}

async fn assemble(
    context: &Context,
    job: &Job,
    attempt: &mut Try,
    went_on: &mut WentOn,
) -> Result<(Bytes, Progress, Option<Checkable>), Error> {
    let mut assembler = Assembler::new(job.plan(context, &attempt.model));
    if let Some(choice) = attempt.drawn(context, job) {
        assembler = assembler.checking(choice);
    }
    let mut turns = Turns::of_race(attempt.signals());
    while let Err(error) = read_events(context, attempt, &mut assembler).await {
        let progress = assembler.progress();
        // Nothing has reached the client: where nobody goes on, the whole is asked for again.
        if !progress.content_seen || progress.finished || !turns.may_go_on(&error) {
            return Err(error);
        }
        attempt.failed(&error);
        assembler.let_go();
        let (model, maker) = (attempt.model.clone(), attempt.endpoint.clone());
        let found = go_on(context, job, (&model, &maker), &mut turns, &mut assembler).await;
        // Of the first one's failure whoever started it takes note, if it is the end.
        if found.is_some() || !went_on.is_empty() {
            note(&maker, attempt.member.as_ref(), &error);
        }
        let Some(next) = found else { return Err(error) };
        went_on.push((next.endpoint.clone(), next.member.clone(), next.model.clone()));
        *attempt = next;
    }
    let checkable = assembler.checkable();
    let stream::Answer { body, progress } = assembler.finish()?;
    Ok((body, progress, checkable))
}

/// Somebody who goes on with the very next token; the text alone is not kept here.
async fn go_on(
    context: &Context,
    job: &Job,
    (model, maker): (&Arc<Model>, &Arc<Endpoint>),
    turns: &mut Turns,
    assembler: &mut Assembler,
) -> Option<Try> {
    loop {
        let search =
            Search { context, job, model, maker, progress: assembler.progress(), said: None };
        let Next { offer, tally, continuation, patience, .. } = search.next(turns)?;
        let job = Job { continuation: Some(continuation), ..job.clone() };
        let asked = ask(context, &job, model, &offer, tally);
        match tokio::time::timeout(patience, asked).await {
            Ok(Ok(attempt)) if attempt.is_event_stream() => {
                assembler.go_on();
                return Some(attempt);
            }
            Ok(Err(error)) => note(&offer.endpoint, offer.member(), &error),
            Ok(Ok(_)) | Err(_) => {}
        }
    }
}

/// Reads events up to the end of the answer.
async fn read_events(
    context: &Context,
    attempt: &mut Try,
    assembler: &mut Assembler,
) -> Result<(), Error> {
    let mut first = Watch::new(context.limits.first_content);
    let mut pace: Option<Pace> = None;
    loop {
        let told = assembler.progress().tokens_told();
        let read = poll_fn(|cx| match &mut pace {
            Some(pace) => poll_watched(attempt, Phase::MidStream, cx, |cx| pace.poll(cx)),
            None => poll_watched(attempt, Phase::FirstContent, cx, |cx| first.poll(cx)),
        });
        match read.await {
            Some(Ok(chunk)) => assembler.push(chunk)?,
            Some(Err(error)) if !assembler.progress().finished => return Err(error),
            None if !assembler.progress().finished => return assembler.end().map_err(Error::from),
            Some(Err(_)) | None => return Ok(()),
        }
        let progress = assembler.progress();
        attempt.came(progress);
        if progress.done {
            return Ok(());
        }
        if let Some(pace) = &mut pace {
            pace.came(progress);
        } else if assembler.has_news() {
            attempt.content();
            pace = Some(Pace::new(&attempt.model, context.limits.stall));
        } else if progress.tokens_told() > told {
            attempt.tokens();
            first.touch();
        }
    }
}

async fn read_json(
    context: &Context,
    job: &Job,
    attempt: &mut Try,
) -> Result<(Bytes, Progress), Error> {
    let mut watch = Watch::new(context.limits.first_content);
    let mut read = BytesMut::new();
    while let Some(chunk) =
        poll_fn(|cx| poll_watched(attempt, Phase::FirstContent, cx, |cx| watch.poll(cx))).await
    {
        let chunk = chunk?;
        let length = (read.len() + chunk.len()) as u64;
        if length > context.limits.answer_bytes {
            return Err(Error::Stream("the answer is too large".to_owned()));
        }
        read.extend_from_slice(&chunk);
        watch.touch();
    }
    // Not at its head: who sends that at once and no more would win each race.
    attempt.content();
    let (read, plan) = (read.freeze(), job.plan(context, &attempt.model));
    match job.endpoint {
        request::Endpoint::ChatCompletions | request::Endpoint::Completions => {
            let stream::Answer { body, progress } = stream::plain(read, &plan)?;
            Ok((body, progress))
        }
        request::Endpoint::Embeddings => vectors::answer(read, &plan.model, job.summary.messages),
    }
}

fn poll_watched(
    attempt: &mut Try,
    phase: Phase,
    cx: &mut Cx<'_>,
    is_late: impl FnOnce(&mut Cx<'_>) -> Poll<Expired>,
) -> Poll<Option<Result<Bytes, Error>>> {
    match attempt.body.poll_data(cx) {
        Poll::Ready(data) => Poll::Ready(data),
        Poll::Pending => {
            ready!(is_late(cx));
            Poll::Ready(Some(Err(Error::Timeout(phase))))
        }
    }
}
