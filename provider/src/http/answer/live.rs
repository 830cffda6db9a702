//! A streamed answer as a response body. The engine's events are polled inside the body, so that a
//! client who leaves takes the job along at once.

use super::Heading;
use super::evidence::{Evidence, Pledge};
use super::writer::{KEEP_ALIVE, Writer};
use crate::engine;
use crate::http::error::Error;
use crate::http::generate::{Events, Running};
use crate::http::request::Plan;
use crate::http::{Context, abort};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

/// The response of a streamed answer.
pub(in crate::http) fn stream(
    context: &Context,
    heading: Heading,
    plan: &Plan,
    running: Running,
    nonce: String,
) -> Response {
    let mut writer = Writer::new(&heading, plan.choices, plan.include_usage)
        .with_prompt_tokens(running.prompt_tokens)
        .with_choices_per_prompt(plan.choices_per_prompt())
        .with_text_bytes(plan.job.resume.as_ref().map_or(0, |resume| resume.text_bytes));
    if plan.job.evidence {
        let pledge = Pledge {
            trust: context.trust.clone(),
            clock: Arc::clone(&context.clock),
            request_id: plan.job.request_id.clone(),
            nonce,
        };
        let resume = plan.job.resume.as_ref();
        let evidence = Evidence::new(running.provenance, plan.choices, resume, pledge);
        writer = writer.with_evidence(evidence);
    }
    let keep_alive = context.limits.keep_alive;
    let live = Live {
        start: Some(writer.start()).filter(|bytes| !bytes.is_empty()),
        writer,
        events: Some(running.events),
        aborting: false,
        request_id: plan.job.request_id.clone(),
        cut: Box::pin(context.shutdown.cut().clone().cancelled_owned()),
        silence: Box::pin(tokio::time::sleep(keep_alive)),
        keep_alive,
    };
    let mut response = Response::new(Body::from_stream(live));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct Live {
    start: Option<Bytes>,
    writer: Writer,
    /// Gone once the stream is over: the jobs end with it, not with the connection.
    events: Option<Events>,
    aborting: bool,
    request_id: String,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    silence: Pin<Box<Sleep>>,
    keep_alive: Duration,
}

impl Stream for Live {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(start) = this.start.take() {
            return Poll::Ready(Some(Ok(start)));
        }
        if this.aborting {
            this.aborting = false;
            return Poll::Ready(Some(Err(abort::cut())));
        }
        let Some(events) = &mut this.events else { return Poll::Ready(None) };
        if this.cut.as_mut().poll(task).is_ready() {
            return Poll::Ready(Some(this.fail(&Error::Draining)));
        }
        let event = loop {
            match events.poll_next_unpin(task) {
                Poll::Ready(Some(Ok((choice, event)))) => {
                    let bytes = this.writer.event(choice, event);
                    // Ids that nobody asked for leave nothing.
                    if !bytes.is_empty() {
                        break Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Poll::Ready(Some(Err(error))) => break Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => break Poll::Ready(None),
                Poll::Pending => break Poll::Pending,
            }
        };
        match event {
            Poll::Ready(Some(Ok(bytes))) => {
                if this.writer.is_done() {
                    this.events = None;
                }
                this.rest();
                Poll::Ready(Some(Ok(bytes)))
            }
            Poll::Ready(Some(Err(engine::Error::Abort))) => {
                // One turn for the connection to write what came before the cut.
                this.events = None;
                this.aborting = true;
                task.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(Some(Err(error))) => {
                let error = Error::from_engine(error, &this.request_id);
                Poll::Ready(Some(this.fail(&error)))
            }
            Poll::Ready(None) => {
                let error = Error::internal(&this.request_id, "the engine's events broke off");
                Poll::Ready(Some(this.fail(&error)))
            }
            Poll::Pending => {
                ready!(this.silence.as_mut().poll(task));
                this.rest();
                Poll::Ready(Some(Ok(Bytes::from_static(KEEP_ALIVE))))
            }
        }
    }
}

impl Live {
    /// The last event of a stream that failed. `[DONE]` never follows.
    fn fail(&mut self, error: &Error) -> Result<Bytes, std::io::Error> {
        self.events = None;
        Ok(Writer::error(error))
    }

    fn rest(&mut self) {
        self.silence.as_mut().reset(Instant::now() + self.keep_alive);
    }
}
