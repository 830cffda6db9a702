//! Whole answers: assembled from a stream, as providers are always asked for one, or taken as they
//! come from a provider that does not stream.

use bytes::{Bytes, BytesMut};
use std::future::poll_fn;
use std::task::{Context as Cx, Poll, ready};

use super::attempt::{Context, Exchange, Goal, Good, Try};
use super::error::{Error, Phase};
use super::pace::Pace;
use super::request::Job;
use super::vectors;
use super::watch::{Expired, Watch};
use crate::request::Endpoint;
use crate::stream::{self, Assembler, Progress};

/// A whole answer, ready to be sent.
#[derive(Debug)]
pub struct Answer {
    pub body: Bytes,
    pub provider: http::HeaderValue,
    progress: Progress,
}

/// Runs the exchange to the end of an answer.
pub async fn whole(exchange: &mut Exchange) -> Result<Answer, Error> {
    match exchange.run(Goal::Whole).await? {
        Good::Whole(answer) => {
            exchange.record.completed(&answer.progress);
            Ok(answer)
        }
        Good::Opened(_) => Err(Error::NotAStream("an unfinished stream".to_owned())),
    }
}

/// Reads `attempt` to its end.
pub(super) async fn collect(
    context: &Context,
    job: &Job,
    mut attempt: Try,
) -> Result<Answer, Error> {
    let result = if attempt.is_event_stream() {
        assemble(context, job, &mut attempt).await
    } else if attempt.is_json() {
        read_json(context, job, &mut attempt).await
    } else {
        Err(Error::NotAStream("neither an event stream nor JSON".to_owned()))
    };
    match result {
        Ok((body, progress)) => {
            attempt.succeeded(&progress);
            let provider = attempt.endpoint.id_header.clone();
            let mut attempt = Some(attempt);
            poll_fn(|cx| {
                if let Some(attempt) = attempt.take() {
                    attempt.recycle(context, cx);
                }
                Poll::Ready(())
            })
            .await;
            Ok(Answer { body, provider, progress })
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
) -> Result<(Bytes, Progress), Error> {
    let mut assembler = Assembler::new(job.plan(context, &attempt.model));
    let mut first = Watch::new(context.limits.first_content);
    let mut pace: Option<Pace> = None;
    loop {
        let read = poll_fn(|cx| match &mut pace {
            Some(pace) => poll_watched(attempt, Phase::MidStream, cx, |cx| pace.poll(cx)),
            None => poll_watched(attempt, Phase::FirstContent, cx, |cx| first.poll(cx)),
        });
        match read.await {
            Some(Ok(chunk)) => assembler.push(chunk)?,
            Some(Err(error)) if !assembler.progress().finished => return Err(error),
            Some(Err(_)) | None => break,
        }
        let progress = assembler.progress();
        if progress.done {
            break;
        }
        if let Some(pace) = &mut pace {
            pace.came(progress);
        } else if progress.content_seen {
            attempt.content();
            pace = Some(Pace::new(&attempt.model, context.limits.stall));
        }
    }
    let stream::Answer { body, progress } = assembler.finish()?;
    Ok((body, progress))
}

async fn read_json(
    context: &Context,
    job: &Job,
    attempt: &mut Try,
) -> Result<(Bytes, Progress), Error> {
    let mut watch = Watch::new(context.limits.first_content);
    // Whoever does not stream has done its work when it sends a head.
    attempt.content();
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
    let (read, plan) = (read.freeze(), job.plan(context, &attempt.model));
    match job.endpoint {
        Endpoint::ChatCompletions | Endpoint::Completions => {
            let stream::Answer { body, progress } = stream::plain(read, &plan)?;
            Ok((body, progress))
        }
        Endpoint::Embeddings => vectors::answer(read, &plan.model, job.summary.messages),
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
