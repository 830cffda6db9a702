//! The attempts of one request: choose, ask, judge the head, and on failure the next provider, until
//! one is good or the budget of attempts and time is spent.

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Response, StatusCode, header, response::Parts};
use smallvec::SmallVec;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::connect;
use super::endpoint::{Endpoint, InFlight};
use super::error::{Error, Phase};
use super::link::LinkBody;
use super::opened::Opened;
use super::record::Record;
use super::request::Job;
use super::whole;
use crate::config::Limits;
use crate::market::Offer;
use crate::metrics::{AttemptOutcome, Metrics};
use crate::route;

/// Of a provider's error answer; more is cut off.
const ERROR_BODY_MAX: usize = 64 * 1024;
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);
/// How long a provider may take to end a body whose answer is complete.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// What every exchange needs of the application.
#[derive(Debug, Clone)]
pub struct Context {
    pub limits: Limits,
    pub metrics: Arc<Metrics>,
    pub shutdown: crate::shutdown::Shutdown,
    /// Random numbers for the choice.
    pub random: fn() -> u64,
}

/// One client request and everything that is tried for it. Dropping it cancels.
#[derive(Debug)]
pub struct Exchange {
    pub(super) context: Arc<Context>,
    pub(super) job: Job,
    pub record: Record,
    tried: SmallVec<[usize; 4]>,
}

/// How far an attempt must come to be the one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal {
    /// Content for the client: from then on its stream is this attempt's.
    FirstContent,
    /// The whole answer: nothing has reached the client before, so any failure is another's chance.
    Whole,
}

#[expect(clippy::large_enum_variant, reason = "one a request, taken apart where it is made")]
pub(super) enum Good {
    Opened(Opened),
    Whole(whole::Answer),
}

/// An attempt whose provider answered with success. Counts as cancelled when it is just dropped.
pub(super) struct Try {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) body: LinkBody,
    pub(super) parts: Parts,
    tally: Tally,
    _in_flight: InFlight,
}

impl Exchange {
    pub fn new(context: Arc<Context>, job: Job, record: Record) -> Self {
        Self { context, job, record, tried: SmallVec::new() }
    }

    pub fn is_stream(&self) -> bool {
        self.job.summary.stream
    }

    /// The name the client asked for.
    pub fn model(&self) -> &str {
        &self.job.summary.model
    }

    /// Attempt after attempt, until one reaches the goal.
    pub(super) async fn run(&mut self, goal: Goal) -> Result<Good, Error> {
        let deadline = self.job.deadline;
        tokio::time::timeout_at(deadline, self.attempts(goal))
            .await
            .unwrap_or(Err(Error::Timeout(Phase::Request)))
    }

    async fn attempts(&mut self, goal: Goal) -> Result<Good, Error> {
        let context = self.context.clone();
        let model = self.job.model.clone();
        let mut worst: Option<Error> = None;
        let attempts_max = usize::try_from(context.limits.attempts).unwrap_or(usize::MAX);
        while self.tried.len() < attempts_max {
            let candidates =
                model.offers.iter().enumerate().map(|(index, offer)| route::Candidate {
                    in_flight: offer.endpoint.in_flight(),
                    cool_down: offer.endpoint.cool_down(),
                    is_tried: self.tried.contains(&index),
                });
            let chosen = route::choose(candidates, (context.random)());
            let Some((index, offer)) = chosen.and_then(|i| Some((i, model.offers.get(i)?))) else {
                break;
            };
            self.tried.push(index);
            self.record.attempt(&offer.endpoint);
            let result = match ask(&context, &self.job, offer).await {
                Ok(attempt) => reach(goal, &context, &self.job, attempt).await,
                Err(error) => Err(error),
            };
            let error = match result {
                Ok(good) => return Ok(good),
                Err(error) => error,
            };
            note(&offer.endpoint, &error);
            self.record.failed_attempt(&offer.endpoint, &error);
            if !error.is_retryable() {
                return Err(error);
            }
            worst = Some(more_telling(worst, error));
        }
        Err(worst.unwrap_or(Error::NoProvider {
            reason: "no provider offers it",
            retry_after: RETRY_AFTER_DEFAULT,
        }))
    }
}

async fn reach(goal: Goal, context: &Context, job: &Job, attempt: Try) -> Result<Good, Error> {
    match goal {
        Goal::FirstContent => Opened::new(context, job, attempt).await.map(Good::Opened),
        Goal::Whole => whole::collect(context, job, attempt).await.map(Good::Whole),
    }
}

/// Which of two failures the client is told: a limit is told only when there was nothing else, since
/// it makes the client come back.
fn more_telling(earlier: Option<Error>, later: Error) -> Error {
    match (earlier, later) {
        (Some(earlier), Error::RateLimited { .. }) => earlier,
        (_, later) => later,
    }
}

/// Lets the endpoint's health know.
pub(super) fn note(endpoint: &Endpoint, error: &Error) {
    match error {
        Error::RateLimited { retry_after } => {
            endpoint.pause(retry_after.unwrap_or(RETRY_AFTER_DEFAULT));
        }
        error if error.is_failure() => endpoint.failed(),
        _ => {}
    }
}

/// Sends the request to one provider, up to a head that promises an answer.
async fn ask(context: &Context, job: &Job, offer: &Offer) -> Result<Try, Error> {
    let mut tally = Tally::new(context.metrics.clone());
    let in_flight = offer.endpoint.begin();
    let head = async {
        let response = send(context, job, offer).await?;
        let (parts, body) = response.into_parts();
        judge_head(parts, body).await
    };
    match tokio::time::timeout(context.limits.head, head).await {
        Ok(Ok((parts, body))) => {
            Ok(Try { endpoint: offer.endpoint.clone(), body, parts, tally, _in_flight: in_flight })
        }
        Ok(Err(error)) => Err(tally.failed(error)),
        Err(_) => Err(tally.failed(Error::Timeout(Phase::Head))),
    }
}

async fn send(context: &Context, job: &Job, offer: &Offer) -> Result<Response<LinkBody>, Error> {
    let endpoint = &offer.endpoint;
    let request = job.request(offer);
    loop {
        let pooled = poll_fn(|cx| Poll::Ready(endpoint.pool.take(cx))).await;
        let link = match pooled {
            Some(link) => link,
            None => connect::dial(endpoint, context.limits.connect).await?,
        };
        match link.send(request.clone()).await {
            Ok(response) => return Ok(response),
            // The provider had closed an idle connection; nothing was sent. Each turn uses one up.
            Err(failed) if failed.is_unsent => {}
            Err(failed) => return Err(failed.error),
        }
    }
}

/// A head that is no stream becomes an error, with as much of its body as the client may need.
async fn judge_head(parts: Parts, body: LinkBody) -> Result<(Parts, LinkBody), Error> {
    let status = parts.status;
    if status.is_success() {
        return Ok((parts, body));
    }
    match status {
        StatusCode::TOO_MANY_REQUESTS => Err(Error::RateLimited {
            retry_after: retry_after(parts.headers.get(header::RETRY_AFTER)),
        }),
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => {
            Err(Error::Rejected { status, body: read_some(body).await })
        }
        // A provider's 401 and 403 are about our credentials, its 404 about its own models.
        status => Err(Error::Status(status)),
    }
}

async fn read_some(mut body: LinkBody) -> Bytes {
    let mut read = BytesMut::new();
    while let Some(Ok(chunk)) = poll_fn(|cx| body.poll_data(cx)).await {
        let room = ERROR_BODY_MAX.saturating_sub(read.len());
        if chunk.len() >= room {
            read.extend_from_slice(chunk.get(..room).unwrap_or_default());
            break;
        }
        read.extend_from_slice(&chunk);
    }
    read.freeze()
}

/// Seconds only; a date is not worth a calendar here.
fn retry_after(value: Option<&HeaderValue>) -> Option<Duration> {
    value?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Counts an attempt exactly once, whatever becomes of it.
struct Tally {
    metrics: Arc<Metrics>,
    outcome: AttemptOutcome,
}

impl Tally {
    fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, outcome: AttemptOutcome::Cancelled }
    }

    fn failed(&mut self, error: Error) -> Error {
        self.outcome = outcome(&error);
        error
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.metrics.attempts.get(self.outcome).inc();
    }
}

fn outcome(error: &Error) -> AttemptOutcome {
    match error {
        Error::Connect(_) | Error::Forbidden | Error::Timeout(Phase::Connect) => {
            AttemptOutcome::Connect
        }
        Error::Timeout(_) => AttemptOutcome::Timeout,
        Error::Broken(_) => AttemptOutcome::Head,
        Error::Rejected { .. } | Error::RateLimited { .. } | Error::Status(_) => {
            AttemptOutcome::Status
        }
        Error::NotAStream(_) | Error::ErrorEvent(_) | Error::Stream(_) | Error::Truncated => {
            AttemptOutcome::Stream
        }
        Error::NoProvider { .. } | Error::Draining => AttemptOutcome::Cancelled,
    }
}

impl Try {
    pub(super) fn succeeded(&mut self) {
        self.tally.outcome = AttemptOutcome::Ok;
        self.endpoint.succeeded();
    }

    pub(super) fn failed(&mut self, error: &Error) {
        self.tally.outcome = outcome(error);
    }

    pub(super) fn is_event_stream(&self) -> bool {
        self.content_type_is("text/event-stream")
    }

    pub(super) fn is_json(&self) -> bool {
        self.content_type_is("application/json")
    }

    fn content_type_is(&self, wanted: &str) -> bool {
        let value = self.parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        value.is_some_and(|v| {
            v.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
        })
    }

    /// Gives the connection back once the answer is complete. A body that has not quite ended
    /// (`[DONE]` is there, the last chunk is not) is read to its end in the background, briefly.
    pub(super) fn recycle(self, context: &Context, cx: &mut std::task::Context<'_>) {
        let Self { endpoint, mut body, .. } = self;
        if body.is_end() || matches!(body.poll_data(cx), Poll::Ready(None)) {
            endpoint.pool.give_body(body, cx);
            return;
        }
        context.shutdown.spawn(async move {
            let rest = async {
                while let Some(Ok(_)) = poll_fn(|cx| body.poll_data(cx)).await {}
                body
            };
            if let Ok(body) = tokio::time::timeout(DRAIN_MAX, rest).await {
                let mut body = Some(body);
                poll_fn(|cx| {
                    if let Some(body) = body.take() {
                        endpoint.pool.give_body(body, cx);
                    }
                    Poll::Ready(())
                })
                .await;
            }
        });
    }
}
