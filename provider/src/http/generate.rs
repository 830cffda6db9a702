//! From a checked plan to running jobs: refuse while draining, find the model, take places in the
//! queue, wait, start. Everything a request holds lives in what is returned, so that a caller who
//! leaves takes all of it along, in the queue as in mid-answer.

use super::Context;
use super::answer;
use super::error::Error;
use super::layer::RequestId;
use super::request::{self, Origin, Plan};
use super::{abort, body, nonce};
use crate::admission::{Permit, Ticket};
use crate::engine::{self, Answer, Event, Generation, Job, Relayed};
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures_util::stream::{self, BoxStream, SelectAll};
use futures_util::{StreamExt, TryStreamExt};
use openapi::evidence::{self, Provenance};
use std::sync::Arc;

/// Events of all choices of one answer, each with its choice.
pub(super) type Events = SelectAll<BoxStream<'static, Result<(u32, Event), engine::Error>>>;

/// A running answer of our own making.
pub(super) struct Running {
    pub(super) prompt_tokens: u32,
    pub(super) provenance: Option<Box<Provenance>>,
    pub(super) events: Events,
}

enum Started {
    Own(Running),
    Foreign(Relayed, Permit),
}

/// One endpoint's own part: how its body is checked, how its answer is printed.
pub(super) struct Endpoint {
    pub(super) path: &'static str,
    pub(super) shape: answer::Shape,
    pub(super) plan: fn(&Origin) -> Result<Plan, Error>,
}

/// Serves one request of an endpoint from its first byte to its last.
pub(super) async fn serve(
    context: Arc<Context>,
    endpoint: Endpoint,
    request: Request,
) -> Result<Response, Error> {
    let origin = origin(&context, endpoint.path, request).await?;
    let relays = context.engine.relays();
    let plan = if relays { request::relayed(&origin)? } else { (endpoint.plan)(&origin)? };
    match start(&context, &plan).await? {
        Started::Foreign(relayed, permit) => Ok(relay(&context, relayed, permit)),
        Started::Own(running) => {
            let heading = answer::Heading::new(endpoint.shape, &plan, context.clock.unix_seconds());
            if plan.stream {
                Ok(answer::stream(&context, heading, &plan, running, origin.nonce))
            } else {
                answer::whole(&context, heading, &plan, running).await
            }
        }
    }
}

/// The request read to its end, for the checks of its endpoint.
pub(super) async fn origin(
    context: &Context,
    path: &'static str,
    request: Request,
) -> Result<Origin, Error> {
    let (parts, incoming) = request.into_parts();
    let id = parts.extensions.get::<RequestId>().map(|id| id.0.to_string()).unwrap_or_default();
    if context.shutdown.is_draining() {
        return Err(Error::Draining);
    }
    let body = body::read(&parts.headers, incoming, &context.limits, &context.bodies).await?;
    let evidence = parts.headers.get(evidence::HEADER).is_some_and(|value| value == "1");
    Ok(Origin {
        nonce: nonce::of(&parts.headers)?,
        seed: getrandom::u64().map_err(|error| Error::internal(&id, &error.to_string()))?,
        choices_max: choices_max(context),
        path,
        request_id: id,
        evidence,
        body,
    })
}

pub(super) fn check_model(context: &Context, model: &str) -> Result<(), Error> {
    if context.engine.models().iter().any(|served| served.id == model) {
        return Ok(());
    }
    Err(Error::UnknownModel(model.chars().take(256).collect()))
}

/// More choices than can ever be inside together would wait for ever.
fn choices_max(context: &Context) -> u32 {
    context.limits.choices.min(u32::try_from(context.admission.room()).unwrap_or(u32::MAX))
}

/// Starts choice 0, whose failure is still an HTTP error, and lines up the others.
async fn start(context: &Arc<Context>, plan: &Plan) -> Result<Started, Error> {
    let id = plan.job.request_id.as_str();
    check_model(context, &plan.job.model)?;
    let mut tickets = context.admission.reserve(plan.choices as usize)?.into_iter();
    let first = tickets.next().ok_or(Error::Draining)?;
    let begun = begin(Arc::clone(&context.engine), first, plan.job(0));
    let begun = tokio::select! {
        biased;
        () = context.shutdown.cut().cancelled() => return Err(Error::Draining),
        begun = begun => begun,
    };
    let (answer, permit) = begun.map_err(|error| Error::from_engine(error, id))?;
    let generation = match answer {
        Answer::Relay(relayed) => return Ok(Started::Foreign(relayed, permit)),
        Answer::Events(generation) => generation,
    };
    let mut events = SelectAll::new();
    let Generation { prompt_tokens, provenance, events: first } = generation;
    events.push(held(0, first, permit));
    for (choice, ticket) in (1..plan.choices).zip(tickets) {
        events.push(later(Arc::clone(&context.engine), ticket, plan.job(choice)));
    }
    Ok(Started::Own(Running { prompt_tokens, provenance, events }))
}

async fn begin(
    engine: Arc<dyn engine::Engine>,
    ticket: Ticket,
    job: Job,
) -> Result<(Answer, Permit), engine::Error> {
    let permit = ticket.run().await;
    let answer = engine.start(job).await?;
    Ok((answer, permit))
}

/// A choice that waits for its own turn while others already answer.
fn later(
    engine: Arc<dyn engine::Engine>,
    ticket: Ticket,
    job: Job,
) -> BoxStream<'static, Result<(u32, Event), engine::Error>> {
    let choice = job.choice;
    let begun = async move {
        match begin(engine, ticket, job).await? {
            (Answer::Events(generation), permit) => Ok(held(choice, generation.events, permit)),
            (Answer::Relay(_), _) => {
                Err(engine::Error::Internal("an engine relayed a later choice".to_owned()))
            }
        }
    };
    stream::once(begun).try_flatten().boxed()
}

/// The events with their choice; the permit goes when they end or are dropped.
fn held(
    choice: u32,
    events: BoxStream<'static, Result<Event, engine::Error>>,
    permit: Permit,
) -> BoxStream<'static, Result<(u32, Event), engine::Error>> {
    let tagged = events.map(move |event| {
        let _held = &permit;
        event.map(|event| (choice, event))
    });
    tagged.boxed()
}

/// A foreign server's answer. When it breaks off, so does ours: the caller must not take it for whole.
pub(super) fn relay(context: &Context, relayed: Relayed, permit: Permit) -> Response {
    let Relayed { status, headers, body } = relayed;
    let cut = context.shutdown.cut().clone();
    let pieces = stream::unfold(Some((body, cut, permit)), |held| async move {
        let (mut body, cut, permit) = held?;
        match cut.run_until_cancelled(body.next()).await {
            Some(Some(Ok(piece))) => Some((Ok(piece), Some((body, cut, permit)))),
            Some(Some(Err(error))) => {
                tracing::debug!(%error, "relayed answer broke off");
                // One turn for the connection to write what came before the break.
                tokio::task::yield_now().await;
                Some((Err(abort::cut()), None))
            }
            Some(None) => None,
            None => Some((Err(abort::cut()), None)),
        }
    });
    let mut response = Response::new(Body::from_stream(pieces));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
