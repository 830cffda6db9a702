//! The attempts of one request: choose, ask, judge the head, and on failure the next provider, until
//! one is good or the budget of attempts and time is spent.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header, response::Parts};
use openapi::node::LOAD_HEADER;
use openapi::node::control::Load;
use smallvec::SmallVec;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::connect;
use super::dial::Dial;
use super::endpoint::{Endpoint, InFlight};
use super::error::{ERROR_BODY_MAX, Error, Phase};
use super::link::{LinkBody, Stale};
use super::opened::Opened;
use super::record::Record;
use super::request::{Job, Wanted};
use super::slate::{Asked, Slate};
use super::way::Way;
use super::whole;
use crate::config::Limits;
use crate::market::{self, Member, Model, Offer};
use crate::metrics::{AttemptOutcome, ConnectionState, Held, Metrics};
use crate::stream::Progress;

const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// A longer word of a node about its load is not read.
const LOAD_BYTES_MAX: usize = 256;
/// Ways that were gone and don't count as attempts: any number of nodes may leave at once, and a request
/// is to find one that has not.
const GONE_MAX: usize = 32;
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
    /// What leases and offers end by.
    pub time: Arc<market::Time>,
    /// Share of a model's requests that nodes on probation get.
    pub probation_share: f64,
    /// Of answers that another node may have to go on with.
    pub seeds: super::seed::Seeds,
    /// What connects in the place of this machine's sockets.
    pub dialer: Option<Arc<dyn Dial>>,
}

/// One client request and everything that is tried for it. Dropping it cancels.
#[derive(Debug)]
pub struct Exchange {
    pub(super) context: Arc<Context>,
    pub(super) job: Job,
    pub record: Record,
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
    /// The node behind it.
    pub(super) member: Option<Arc<Member>>,
    pub(super) model: Arc<Model>,
    pub(super) body: LinkBody,
    pub(super) parts: Parts,
    tally: Tally,
    _in_flight: InFlight,
}

impl Exchange {
    pub fn new(context: Arc<Context>, job: Job, record: Record) -> Self {
        Self { context, job, record }
    }

    pub fn is_stream(&self) -> bool {
        self.job.summary.stream
    }

    pub fn job(&self) -> &Job {
        &self.job
    }

    /// The name the client asked for.
    pub fn model(&self) -> &str {
        &self.job.summary.model
    }

    /// Attempt after attempt, until one reaches the goal.
    pub(super) async fn run(&mut self, goal: Goal) -> Result<Good, Error> {
        let context = self.context.clone();
        let mut attempts = pin!(tokio::time::timeout_at(self.job.deadline, self.attempts(goal)));
        poll_fn(|cx| match attempts.as_mut().poll(cx) {
            Poll::Ready(result) => {
                Poll::Ready(result.unwrap_or(Err(Error::Timeout(Phase::Request))))
            }
            // Who waits for an answer at the cut is told, and not just disconnected.
            Poll::Pending if context.shutdown.is_cut() => Poll::Ready(Err(Error::Draining)),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// The models in their order, each as long as it has providers to try. All share one budget, of
    /// which every model that is still to come keeps one attempt, as far as it goes.
    async fn attempts(&mut self, goal: Goal) -> Result<Good, Error> {
        let attempts_max = usize::try_from(self.context.limits.attempts).unwrap_or(usize::MAX);
        let wanted = self.job.wanted.clone();
        let (mut spent, mut worst) = (0, None);
        for (number, wanted) in wanted.iter().enumerate() {
            let to_come = self.job.wanted.len().saturating_sub(number + 1);
            let left = attempts_max.saturating_sub(spent);
            if left == 0 {
                break;
            }
            let may_spend = left.saturating_sub(to_come).max(1);
            match self.attempts_at(goal, wanted, may_spend, &mut spent).await {
                Ok(good) => return Ok(good),
                // A refusal is one model's: another may take what this one does not.
                Err(error) if error.is_retryable() || error.is_refusal() => {
                    worst = Some(more_telling(worst, error));
                }
                Err(error) => return Err(error),
            }
        }
        Err(worst.unwrap_or_else(|| Error::unserved("no model is named")))
    }

    async fn attempts_at(
        &mut self,
        goal: Goal,
        wanted: &Wanted,
        may_spend: usize,
        spent: &mut usize,
    ) -> Result<Good, Error> {
        let context = self.context.clone();
        let Wanted { model, policy } = wanted;
        let grant = self.job.grant.clone();
        let asked = Asked {
            policy: policy.as_deref(),
            scope: &grant.scope,
            answer_tokens: self.job.summary.max_tokens,
        };
        let slate = Slate::new(&context, model, &asked)?;
        let mut tried = SmallVec::<[usize; 4]>::new();
        let (mut worst, mut refused): (Option<Error>, Option<Error>) = (None, None);
        // Attempts that cost nothing: the way was gone before anything was sent.
        let mut free = 0;
        while tried.len() < may_spend.saturating_add(free).min(slate.attempts_max) {
            let chosen = slate.pick(&context, &tried, &|_| true);
            let Some((index, offer)) = chosen.and_then(|i| Some((i, model.offers.get(i)?))) else {
                break;
            };
            tried.push(index);
            *spent += 1;
            self.record.attempt(&offer.endpoint, &model.id);
            if let Some(member) = offer.member() {
                member.asked();
            }
            let result = match ask(&context, &self.job, model, offer).await {
                Ok(attempt) => reach(goal, &context, &self.job, attempt).await,
                Err(error) => Err(error),
            };
            let error = match result {
                Ok(good) => return Ok(good),
                Err(error) => error,
            };
            if matches!(error, Error::Gone) && free < GONE_MAX {
                free += 1;
                *spent = spent.saturating_sub(1);
            }
            note(&offer.endpoint, offer.member(), &error);
            self.record.failed_attempt(&offer.endpoint, &error);
            let is_word = offer.member().is_some() && matches!(error, Error::Rejected { .. });
            if is_word && refused.is_none() {
                // One node's word about the request: else who refuses all that comes, at once and
                // always idle, would get most of it. Another's word is enough.
                refused = Some(error);
                continue;
            }
            if !error.is_retryable() {
                return Err(error);
            }
            worst = Some(more_telling(worst, error));
        }
        Err(refused.or(worst).unwrap_or_else(|| Error::NoProvider {
            reason: "all of its providers are at their limit of connections".into(),
            retry_after: Some(RETRY_AFTER_DEFAULT),
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
        (Some(earlier), Error::RateLimited { .. } | Error::NoProvider { .. }) => earlier,
        (_, later) => later,
    }
}

/// Lets the endpoint's health know.
pub(super) fn note(endpoint: &Endpoint, member: Option<&Arc<Member>>, error: &Error) {
    if let Some(member) = member.filter(|_| error.is_failure()) {
        member.failed();
    }
    match error {
        Error::RateLimited { retry_after } => {
            endpoint.pause(retry_after.unwrap_or(RETRY_AFTER_DEFAULT));
        }
        error if error.is_failure() => endpoint.failed(),
        _ => {}
    }
}

/// Sends the request to one provider, up to a head that promises an answer.
pub(super) async fn ask(
    context: &Context,
    job: &Job,
    model: &Arc<Model>,
    offer: &Offer,
) -> Result<Try, Error> {
    let mut tally = Tally::new(context.metrics.clone());
    let in_flight = offer.endpoint.begin();
    let head = async {
        let response = send(context, job, offer).await?;
        let (parts, body) = response.into_parts();
        if let Some(member) = offer.member() {
            told(&parts.headers).into_iter().for_each(|load| member.loaded(load));
        }
        judge_head(parts, body).await
    };
    match tokio::time::timeout(job.head_limit(&context.limits), head).await {
        Ok(Ok((parts, body))) => {
            let (endpoint, model) = (offer.endpoint.clone(), model.clone());
            let member = offer.member().cloned();
            Ok(Try { endpoint, member, model, body, parts, tally, _in_flight: in_flight })
        }
        Ok(Err(error)) => Err(tally.failed(error)),
        Err(_) => Err(tally.failed(Error::Timeout(Phase::Head))),
    }
}

pub(super) async fn send(
    context: &Context,
    job: &Job,
    offer: &Offer,
) -> Result<Response<LinkBody>, Error> {
    let request = job.request(context, offer);
    let dialed = match &offer.endpoint.way {
        Way::Tunnel(tunnel) => return tunnel.send(request).await,
        Way::Dialed(dialed) => dialed,
    };
    let mut may_reuse = true;
    loop {
        let pooled = match may_reuse {
            true => poll_fn(|cx| Poll::Ready(dialed.pool.take(cx))).await,
            false => None,
        };
        let link = match pooled {
            Some(link) => link,
            None => connect::dial(context, dialed).await?,
        };
        match link.send(request.clone()).await {
            Ok(response) => return Ok(response),
            // The provider had closed an idle connection; nothing was sent. Each turn uses one up.
            Err(failed) if failed.stale == Some(Stale::Unsent) => {}
            // It was closing it just then. A fresh connection tells whether that was all.
            Err(failed) if failed.stale == Some(Stale::Unanswered) => may_reuse = false,
            Err(failed) => return Err(failed.error),
        }
    }
}

/// A head that is no stream becomes an error, with as much of its body as the client may need.
pub(super) async fn judge_head(parts: Parts, body: LinkBody) -> Result<(Parts, LinkBody), Error> {
    let status = parts.status;
    if status.is_success() {
        return Ok((parts, body));
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        let retry_after = retry_after(parts.headers.get(header::RETRY_AFTER));
        return Err(Error::RateLimited { retry_after });
    }
    if Error::is_about_request(status) {
        return Err(Error::Rejected { status, body: read_some(body).await });
    }
    Err(Error::Status(status))
}

/// What there is of an error's body soon: a refusal counts even if its text never ends.
async fn read_some(mut body: LinkBody) -> Bytes {
    let mut read = BytesMut::new();
    let end = tokio::time::Instant::now() + DRAIN_MAX;
    while let Ok(Some(Ok(chunk))) =
        tokio::time::timeout_at(end, poll_fn(|cx| body.poll_data(cx))).await
    {
        let room = ERROR_BODY_MAX.saturating_sub(read.len());
        if chunk.len() >= room {
            read.extend_from_slice(chunk.get(..room).unwrap_or_default());
            break;
        }
        read.extend_from_slice(&chunk);
    }
    read.freeze()
}

/// What a node's answer says of its load.
pub(super) fn told(headers: &HeaderMap) -> Option<Load> {
    let text = headers.get(LOAD_HEADER)?.to_str().ok()?;
    if text.len() > LOAD_BYTES_MAX {
        return None;
    }
    Load::from_header(text)
}

/// Seconds only; a date is not worth a calendar here. No provider sends a client away for days.
fn retry_after(value: Option<&HeaderValue>) -> Option<Duration> {
    let seconds = value?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// Counts an attempt exactly once, whatever becomes of it.
struct Tally {
    metrics: Arc<Metrics>,
    outcome: AttemptOutcome,
    _active: Held,
}

impl Tally {
    fn new(metrics: Arc<Metrics>) -> Self {
        let active = Held::new(metrics.upstream_connections.get(ConnectionState::Active));
        Self { metrics, outcome: AttemptOutcome::Cancelled, _active: active }
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

/// As counted here by the ids; the provider's own number where it told none. No more than there is text
/// for, whatever was told.
fn tokens(progress: &Progress) -> u64 {
    let counted: usize = progress.ids.iter().map(Vec::len).sum();
    let told = match counted {
        0 => progress.usage.map_or(0, |usage| usage.completion_tokens),
        counted => counted as u64,
    };
    told.min(progress.text_bytes)
}

fn outcome(error: &Error) -> AttemptOutcome {
    match error {
        Error::Connect(_) | Error::Gone | Error::Forbidden | Error::Timeout(Phase::Connect) => {
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
    pub(super) fn succeeded(&mut self, progress: &Progress) {
        self.tally.outcome = AttemptOutcome::Ok;
        self.endpoint.succeeded();
        if let Some(member) = &self.member {
            member.answered(tokens(progress));
        }
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
            endpoint.take_back(body, cx);
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
                        endpoint.take_back(body, cx);
                    }
                    Poll::Ready(())
                })
                .await;
            }
        });
    }
}
