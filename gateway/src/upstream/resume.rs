//! An answer that broke off behind its first content: another provider goes on with it, so that the
//! client sees one answer. Node to node with the very next token, where both hold the same weights; else
//! with the text so far, where the configuration says that a server takes it; else nobody does, and the
//! first failure stands. It chooses among those whom the request may ask, and bends no policy.

use openapi::node::{Feature, Served};
use openapi::resume::Resume;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Context, Exchange, Try, ask, note};
use super::endpoint::Endpoint;
use super::error::{Error, Phase};
use super::explain::Why;
use super::opened::{Opened, Saying};
use super::patience::Patience;
use super::slate::Slate;
use super::tally::Tally;
use crate::market::{Model, Offer};
use crate::request;
use crate::route::choice::{Chosen, UTILISATION_MAX};
use crate::stream::Seam;

/// Providers asked to go on with one answer, beside the attempts before its first content.
const FAIL_OVERS_MAX: u32 = 2;
/// Marks the place in the stream.
const COMMENT: &str = ": quorate fail-over\n\n";

/// How a provider is told to go on. Of the request's job while it is asked.
#[derive(Debug, Clone)]
pub enum Continuation {
    Resume(Resume),
    Prefill { text: String, tokens: u64 },
}

/// An answer without a provider.
pub(super) struct Lost {
    pub(super) exchange: Exchange,
    pub(super) said: Saying,
    pub(super) fail_overs: u32,
    model: Arc<Model>,
    /// Who had their turn; the first of them made what there is.
    had: SmallVec<[Arc<Endpoint>; 3]>,
}

/// Whom to ask next, and how.
struct Next {
    offer: Arc<Offer>,
    tally: Tally,
    continuation: Continuation,
    seam: Seam,
}

/// Whether a node can go on with answers of others, and others with its own.
pub(super) fn goes_on(offer: &Offer) -> bool {
    offer.served().is_some_and(|served| served.features.contains(&Feature::Resume))
}

/// Whether the answer's text has to be kept, for a server that can only go on with that.
pub(super) fn needs_text(job: &super::Job, model: &Model) -> bool {
    let summary = &job.summary;
    model.continues
        && job.endpoint == request::Endpoint::ChatCompletions
        && summary.choices == 1
        && !summary.logprobs
        && !summary.structured
        && request::Continuation::fits(&job.body)
}

// === impl Continuation ===

impl Continuation {
    pub(super) fn borrowed(&self) -> request::Continuation<'_> {
        match self {
            Self::Resume(resume) => request::Continuation::Resume(resume),
            Self::Prefill { text, tokens } => {
                request::Continuation::Prefill { text, tokens: *tokens }
            }
        }
    }

    /// Of the answer so far.
    fn tokens(&self) -> u64 {
        match self {
            Self::Resume(resume) => (resume.ids.len() as u64).min(resume.text_bytes),
            Self::Prefill { tokens, .. } => *tokens,
        }
    }
}

// === impl Lost ===

impl Lost {
    /// Lets go of the provider, which has failed.
    pub(super) fn new(exchange: Exchange, opened: Opened, fail_overs: u32) -> Self {
        let Opened { attempt, said } = opened;
        let had = SmallVec::from_iter([attempt.endpoint.clone()]);
        Self { exchange, said, fail_overs, model: attempt.model.clone(), had }
    }

    /// Whether there is any sense in looking for somebody else.
    pub(super) fn may_go_on(error: &Error, fail_overs: u32) -> bool {
        error.is_retryable() && fail_overs < FAIL_OVERS_MAX
    }

    /// Finds somebody who goes on, up to the first content that the client does not have. `None`:
    /// nobody does, and the failure that led here is the one to be told. Dropping the future cancels.
    pub(super) async fn go_on(mut self) -> (Self, Option<Try>) {
        let (deadline, cut) =
            (self.exchange.job.deadline, self.exchange.context.shutdown.cut_token());
        let found = tokio::time::timeout_at(deadline, self.attempts());
        let found = cut.run_until_cancelled(found).await;
        self.exchange.job.continuation = None;
        (self, found.and_then(Result::ok).flatten())
    }

    async fn attempts(&mut self) -> Option<Try> {
        let context = self.exchange.context.clone();
        while self.fail_overs < FAIL_OVERS_MAX {
            let Next { offer, tally, continuation, seam } = self.next(&context)?;
            self.fail_overs += 1;
            self.had.push(offer.endpoint.clone());
            let patience = self.patience(&context, &tally);
            self.exchange.record.attempt(&offer.endpoint, &self.model.id, Why::Resume);
            if let Some(member) = offer.member() {
                member.asked();
            }
            self.exchange.job.continuation = Some(continuation);
            let asked = tokio::time::timeout(patience, self.ask(&context, &offer, tally, seam));
            let error = match asked.await {
                Ok(Ok(attempt)) => return Some(attempt),
                Ok(Err(error)) => error,
                Err(_) => Error::Timeout(Phase::FirstContent),
            };
            note(&offer.endpoint, offer.member(), &error);
            self.exchange.record.failed_attempt(&offer.endpoint, &error);
        }
        None
    }

    async fn ask(
        &mut self,
        context: &Context,
        offer: &Offer,
        tally: Tally,
        seam: Seam,
    ) -> Result<Try, Error> {
        let mut attempt = ask(context, &self.exchange.job, &self.model, offer, tally).await?;
        self.said.relay.go_on(seam);
        // Of a provider that failed to go on, nothing has been sent.
        self.said.out.clear();
        self.said.out.say(COMMENT);
        self.said.open(&mut attempt, context.limits.first_content).await?;
        Ok(attempt)
    }

    /// Until the next is asked in its place. Where there is none, it has all the time.
    fn patience(&self, context: &Context, tally: &Tally) -> Duration {
        if self.fail_overs >= FAIL_OVERS_MAX || self.choose(context, |_, _, _| ()).is_none() {
            return Duration::MAX;
        }
        let (hedges, hedging) = (&self.model.shared.hedges, &context.hedging);
        Patience::new(hedges, hedging, &context.limits, tally.dispatch()).given_up
    }

    fn next(&self, context: &Context) -> Option<Next> {
        let (job, model) = (&self.exchange.job, &self.model);
        let begin = |slate: &Slate<'_>, chosen: &Chosen, offer: &Arc<Offer>| {
            (offer.clone(), Tally::begin(context, job, (model, offer), slate, &chosen.facts))
        };
        let ((offer, tally), continuation, seam) = self.choose(context, begin)?;
        let tally = tally.going_on(continuation.tokens());
        Some(Next { offer, tally, continuation, seam })
    }

    /// Chooses among those who can go on, of whom nobody is asked yet.
    fn choose<T>(
        &self,
        context: &Context,
        take: impl Fn(&Slate<'_>, &Chosen, &Arc<Offer>) -> T,
    ) -> Option<(T, Continuation, Seam)> {
        let (job, model) = (&self.exchange.job, &self.model);
        let wanted = job.wanted.iter().find(|wanted| wanted.model.id == model.id)?;
        let slate = Slate::new(context, wanted, job).ok()?;
        if slate.attempts_max < 2 {
            return None;
        }
        let is_had = |offer: &Offer| self.had.iter().any(|had| Arc::ptr_eq(had, &offer.endpoint));
        let tried: SmallVec<[usize; 4]> =
            (0..).zip(&model.offers).filter(|(_, o)| is_had(o)).map(|(place, _)| place).collect();
        let pick = |may: &dyn Fn(&Offer) -> bool| {
            let chosen = slate.pick(context, &tried, UTILISATION_MAX, may).best?;
            Some(take(&slate, &chosen, model.offers.get(chosen.place)?))
        };
        if let Some((first, resume)) = self.exact()
            && let Some(taken) = pick(&|offer| is_kin(first, offer))
        {
            return Some((taken, Continuation::Resume(resume), Seam::Exact));
        }
        let (continuation, seam) = self.prefill()?;
        let taken = pick(&|offer| offer.endpoint.continues)?;
        Some((taken, continuation, seam))
    }

    /// What the node made that was asked last, and its tokens, where all of them are known.
    fn exact(&self) -> Option<(&Served, Resume)> {
        if self.exchange.job.summary.choices != 1 {
            return None;
        }
        let maker = self.had.first()?;
        let mut offers = self.model.offers.iter();
        let first = offers.find(|offer| Arc::ptr_eq(&offer.endpoint, maker))?;
        // One node with several offers under one name: nobody knows which of them it was.
        if !goes_on(first) || offers.any(|offer| Arc::ptr_eq(&offer.endpoint, maker)) {
            return None;
        }
        let progress = self.said.relay.progress();
        let ids = progress.ids.first().filter(|ids| !ids.is_empty())?.clone();
        let resume = Resume { ids, text_bytes: progress.text_bytes, prompt_ids_sha256: None };
        Some((first.served()?, resume))
    }

    fn prefill(&self) -> Option<(Continuation, Seam)> {
        let said = self.said.relay.said()?;
        let text = said.text()?;
        let kept = text.trim_end();
        if kept.is_empty() {
            return None;
        }
        let progress = self.said.relay.progress();
        let ids = progress.ids.first().map_or(0, Vec::len) as u64;
        let told = progress.usage.map_or(0, |usage| usage.completion_tokens);
        // No token has less than a byte.
        let tokens = ids.max(told).max(said.events()).min(progress.text_bytes);
        let blank = text.get(kept.len()..).unwrap_or_default().to_owned();
        let continuation = Continuation::Prefill { text: kept.to_owned(), tokens };
        Some((continuation, Seam::Prefill { tokens, blank }))
    }
}

/// Whether it would have made the very same answer.
fn is_kin(first: &Served, offer: &Offer) -> bool {
    offer.served().is_some_and(|other| {
        other.features.contains(&Feature::Resume)
            && first.weights_id.is_some()
            && other.weights_id == first.weights_id
            && other.template_sha256 == first.template_sha256
            && other.quantization == first.quantization
    })
}
