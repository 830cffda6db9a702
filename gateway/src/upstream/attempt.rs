//! One request and its attempts, model after model; and one attempt: ask, judge the head, read as far as
//! the goal. Which attempts are made when is `race`'s.

use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode, header, response::Parts};
use http_body_util::Full;
use openapi::receipt::Verified;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::connect;
use super::dial::Dial;
use super::endpoint::{Endpoint, InFlight};
use super::error::{ERROR_BODY_MAX, Error, Phase};
use super::judge::Judge;
use super::link::{LinkBody, Stale};
use super::load::told;
use super::opened::Opened;
use super::purse::Purse;
use super::quorum::Parties;
use super::race;
use super::record::Record;
use super::request::{Job, Receipt, Wanted};
use super::retry_after;
use super::tally::{Signals, Tally};
use super::way::Way;
use super::whole;
use super::witness::{Answered, Witness};
use crate::config::{Breaker, Hedging, Limits, Routing};
use crate::market::{self, Integrity, Member, Model, Offer};
use crate::metrics::Metrics;
use crate::stream::{Checkable, Progress};

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
    pub routing: Routing,
    pub hedging: Hedging,
    pub breaker: Breaker,
    /// Of answers that another node may have to go on with.
    pub seeds: super::seed::Seeds,
    /// Who has answers checked.
    pub witness: Arc<dyn Witness>,
    /// Who says what an answer is worth while its client waits.
    pub judge: Arc<dyn Judge>,
    /// Who may be of a quorum.
    pub parties: Arc<Parties>,
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
    /// What the provider calls it.
    pub(super) upstream_model: Arc<str>,
    integrity: Option<Arc<Integrity>>,
    pub(super) body: LinkBody,
    pub(super) parts: Parts,
    /// Before the tally, which calls whoever waits for its room.
    _in_flight: InFlight,
    tally: Tally,
}

impl Exchange {
    pub fn new(context: Arc<Context>, job: Job, record: Record) -> Self {
        Self { context, job, record }
    }

    /// There is to be a receipt, on which what is found out is put down.
    pub fn receipted(&mut self, receipt: Option<Receipt>) {
        self.record.telling(receipt.as_ref().map(|receipt| &receipt.sheet));
        self.job.receipt = receipt;
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
    /// which every model that is still to come keeps one attempt, as far as it goes. Where several are
    /// named, none is waited for before all were tried; then the first that was full.
    async fn attempts(&mut self, goal: Goal) -> Result<Good, Error> {
        let Self { context, job, record } = self;
        let (context, job): (&Arc<Context>, &Job) = (context, job);
        let mut purse = Purse::new(&context.limits, &context.hedging, job);
        let (mut worst, mut beyond, mut full) = (None, None, None);
        for (number, wanted) in job.wanted.iter().enumerate() {
            if purse.is_empty() {
                break;
            }
            if !is_larger(wanted, beyond) {
                continue;
            }
            purse.next_model(job.wanted.len().saturating_sub(number + 1));
            let error = match race::at(context, job, wanted, goal, record, &mut purse).await {
                Ok(good) => return Ok(good),
                Err(error) => error,
            };
            // A refusal is one model's: another may take what this one does not.
            if !error.is_retryable() && !error.is_refusal() {
                return Err(error);
            }
            if matches!(error, Error::Busy { .. }) {
                full = full.or(Some(wanted));
            }
            if error.is_about_context() {
                beyond = beyond.max(wanted.model.card.context_length);
            }
            worst = Some(more_telling(worst, error));
        }
        if let Some(wanted) = full.filter(|_| !purse.may_wait && !purse.is_empty()) {
            purse.next_model(0);
            purse.may_wait = true;
            match race::at(context, job, wanted, goal, record, &mut purse).await {
                Err(error @ Error::Busy { .. }) if matches!(worst, Some(Error::Busy { .. })) => {
                    worst = Some(error);
                }
                Err(error) => worst = Some(more_telling(worst, error)),
                Ok(good) => return Ok(good),
            }
        }
        Err(worst.unwrap_or_else(|| Error::unserved("no model is named")))
    }
}

/// Whether a model may take what was too long for one of so many tokens; true where nobody knows.
fn is_larger(wanted: &Wanted, beyond: Option<u64>) -> bool {
    beyond.zip(wanted.model.card.context_length).is_none_or(|(beyond, its)| its > beyond)
}

/// One attempt, to the goal.
pub(super) async fn attempt(
    goal: Goal,
    context: &Context,
    job: &Job,
    model: &Arc<Model>,
    offer: &Offer,
    tally: Tally,
) -> Result<Good, Error> {
    let attempt = ask(context, job, model, offer, tally).await?;
    reach(goal, context, job, attempt).await
}

async fn reach(goal: Goal, context: &Context, job: &Job, attempt: Try) -> Result<Good, Error> {
    match goal {
        Goal::FirstContent => Opened::new(context, job, attempt).await.map(Good::Opened),
        Goal::Whole => whole::collect(context, job, attempt).await.map(Good::Whole),
    }
}

/// Which of two failures the client is told: a limit is told only when there was nothing else, since
/// it makes the client come back.
pub(super) fn more_telling(earlier: Option<Error>, later: Error) -> Error {
    match (earlier, later) {
        (
            Some(Error::RateLimited { retry_after: one }),
            Error::RateLimited { retry_after: other },
        ) => {
            let soonest = one.zip(other).map(|(one, other)| one.min(other));
            Error::RateLimited { retry_after: soonest.or(one).or(other) }
        }
        (
            Some(earlier),
            Error::RateLimited { .. } | Error::NoProvider { .. } | Error::Busy { .. },
        ) => earlier,
        (_, later) => later,
    }
}

/// Puts a failure into a node's books.
pub(super) fn note(_: &Endpoint, member: Option<&Arc<Member>>, error: &Error) {
    if let Some(member) = member.filter(|_| error.is_failure()) {
        member.failed();
    }
}

/// Sends the request to one provider, up to a head that promises an answer.
pub(super) async fn ask(
    context: &Context,
    job: &Job,
    model: &Arc<Model>,
    offer: &Offer,
    mut tally: Tally,
) -> Result<Try, Error> {
    let in_flight = offer.endpoint.begin();
    let head = async {
        let response = send(context, job, offer).await?;
        let (parts, body) = response.into_parts();
        if let Some(member) = offer.member() {
            let now_ms = context.time.now().run_ms;
            told(&parts.headers).into_iter().for_each(|load| member.loaded(load, now_ms));
        }
        judge_head(parts, body).await
    };
    match tokio::time::timeout(job.head_limit(&context.limits), head).await {
        Ok(Ok((parts, body))) => Ok(Try::new((offer, model), (parts, body), tally, in_flight)),
        Ok(Err(error)) => Err(tally.failed(refusal(job, error))),
        Err(_) => Err(tally.failed(Error::Timeout(Phase::Head))),
    }
}

/// A node that would have given another answer than the one it is to go on with says so, which is no
/// failure of its own: the first one's tokens and text may not belong together.
fn refusal(job: &Job, error: Error) -> Error {
    match error {
        Error::Status(status @ StatusCode::CONFLICT) if job.continuation.is_some() => {
            Error::Rejected { status, body: Bytes::new() }
        }
        error => error,
    }
}

pub(super) async fn send(
    context: &Context,
    job: &Job,
    offer: &Offer,
) -> Result<Response<LinkBody>, Error> {
    send_request(context, offer, job.request(context, offer)).await
}

pub(super) async fn send_request(
    context: &Context,
    offer: &Offer,
    request: Request<Full<Bytes>>,
) -> Result<Response<LinkBody>, Error> {
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
        let retry_after = retry_after::read(&parts.headers);
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

impl Try {
    pub(super) fn new(
        (offer, model): (&Offer, &Arc<Model>),
        (parts, body): (Parts, LinkBody),
        tally: Tally,
        in_flight: InFlight,
    ) -> Self {
        let (endpoint, model) = (offer.endpoint.clone(), model.clone());
        let member = offer.member().cloned();
        let upstream_model = offer.upstream_model.clone();
        Self {
            endpoint,
            member,
            model,
            upstream_model,
            integrity: offer.integrity.clone(),
            body,
            parts,
            _in_flight: in_flight,
            tally,
        }
    }

    /// It answers, which is all that was asked.
    pub(super) fn proven(mut self) {
        self.tally.proven();
    }

    /// Of the race it is one of.
    pub(super) fn signals(&self) -> Option<&Arc<Signals>> {
        self.tally.signals()
    }

    pub(super) fn succeeded(&mut self, progress: &Progress) {
        let tokens = self.tally.succeeded(progress);
        if let Some(member) = &self.member {
            member.answered(tokens);
        }
        if let Some(integrity) = &self.integrity {
            integrity.answered();
        }
    }

    /// So far the answer has come.
    pub(super) fn came(&mut self, progress: &Progress) {
        self.tally.came(progress);
    }

    /// Whoever reads the answer made it wait.
    pub(super) fn held_up(&mut self) {
        self.tally.held_up();
    }

    pub(super) fn failed(&mut self, error: &Error) {
        self.tally.note(error);
    }

    /// Tokens came, perhaps without anything to show yet.
    pub(super) fn tokens(&mut self) {
        self.tally.tokens();
    }

    /// The first content came.
    pub(super) fn content(&mut self) {
        self.tally.content();
    }

    /// The whole answer is there: who has it checked is told.
    pub(super) fn witnessed(
        &self,
        context: &Context,
        job: &Job,
        progress: &Progress,
        checkable: Option<Checkable>,
    ) {
        let answered =
            checkable.and_then(|checkable| Answered::of(context, job, self, progress, checkable));
        let Some(answered) = answered else { return };
        let Some(keep) = &job.keep else { return context.witness.answered(answered) };
        if self.audited(context, job).is_some() {
            context.witness.answered(answered.clone());
        }
        // Of several in one place the first is the answer.
        let _others = keep.set(Arc::new(answered));
    }

    /// Which choice of its answer is to be checked.
    pub(super) fn drawn(&self, context: &Context, job: &Job) -> Option<u32> {
        let audited = self.audited(context, job);
        if let (Some(_), Some(receipt)) = (audited, &job.receipt) {
            receipt.sheet.with(|known| known.verified = Verified::Pending);
        }
        // Such a request has one choice alone.
        if job.keep.is_some() { Some(0) } else { audited }
    }

    fn audited(&self, context: &Context, job: &Job) -> Option<u32> {
        context.witness.draws(job, self.integrity.as_deref()?)
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
