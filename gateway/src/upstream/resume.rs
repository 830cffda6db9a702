//! An answer that broke off behind its first content: another provider goes on with it, so that the
//! client sees one answer. Node to node with the very next token, where both hold the same weights; else
//! with the text so far, where the configuration says that a server takes it; else nobody does, and the
//! first failure stands. It chooses among those whom the request may ask, and bends no policy.

mod search;

pub(super) use search::{Next, Search};

use openapi::node::Feature;
use openapi::resume::Resume;
use smallvec::SmallVec;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Context, Exchange, Try, ask, note};
use super::endpoint::Endpoint;
use super::error::{Error, Phase};
use super::explain::Why;
use super::opened::{Opened, Saying};
use super::tally::{Signals, Tally};
use crate::market::{Model, Offer};
use crate::request;
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
    pub(super) turns: Turns,
    model: Arc<Model>,
    maker: Arc<Endpoint>,
}

/// Who was asked to go on with one answer.
#[derive(Default)]
pub(super) struct Turns {
    asked: u32,
    /// Whose attempts have their turns together.
    race: Option<Arc<Signals>>,
    /// They, and who failed before them.
    had: SmallVec<[Arc<Endpoint>; 3]>,
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

// === impl Turns ===

impl Turns {
    /// Of an attempt that failed is nothing with the client: other attempts follow it.
    pub(super) fn of_race(race: Option<&Arc<Signals>>) -> Self {
        Self { race: race.cloned(), ..Self::default() }
    }

    /// Whether there is any sense in looking for somebody after this failure.
    pub(super) fn may_go_on(&self, error: &Error) -> bool {
        error.is_retryable() && self.is_left()
    }

    /// Somebody may still be asked.
    fn is_left(&self) -> bool {
        self.race.as_ref().map_or(self.asked, |race| race.fail_overs()) < FAIL_OVERS_MAX
    }

    fn take(&mut self, endpoint: &Arc<Endpoint>) {
        self.asked += 1;
        self.had.push(endpoint.clone());
        if let Some(race) = &self.race {
            race.went_on();
        }
    }
}

// === impl Lost ===

impl Lost {
    /// Lets go of the provider, which has failed.
    pub(super) fn new(exchange: Exchange, opened: Opened, mut turns: Turns) -> Self {
        let Opened { attempt, said } = opened;
        let (model, maker) = (attempt.model.clone(), attempt.endpoint.clone());
        turns.had.push(maker.clone());
        Self { exchange, said, turns, model, maker }
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
        loop {
            self.said.relay.let_go();
            let search = Search {
                context: &context,
                job: &self.exchange.job,
                model: &self.model,
                maker: &self.maker,
                progress: self.said.relay.progress(),
                said: self.said.relay.said(),
            };
            let Next { offer, tally, continuation, seam, patience } =
                search.next(&mut self.turns)?;
            let asked = (&*offer.endpoint, offer.member());
            self.exchange.record.attempt(asked, &self.model.id, Why::Resume);
            self.exchange.job.continuation = Some(continuation);
            let signals = Arc::<Signals>::default();
            let asked = self.ask(&context, &offer, tally.racing(0, &signals), seam);
            let error = match in_time(patience, &signals, asked).await {
                Ok(attempt) => return Some(attempt),
                Err(error) => error,
            };
            note(&offer.endpoint, offer.member(), &error);
            self.exchange.record.failed_attempt(&offer.endpoint, &error);
        }
    }

    async fn ask(
        &mut self,
        context: &Context,
        offer: &Offer,
        tally: Tally,
        seam: Seam,
    ) -> Result<Try, Error> {
        let mut attempt = ask(context, &self.exchange.job, &self.model, offer, tally).await?;
        if !self.said.relay.has_news() {
            // Of one that failed to go on, nothing stays. What one brought before it failed does, though
            // it was not sent yet.
            self.said.out.clear();
        }
        self.said.relay.go_on(seam);
        self.said.out.say(COMMENT);
        self.said.open(&mut attempt, context.limits.first_content).await?;
        Ok(attempt)
    }
}

/// What comes of it, if something does before it was silent for so long. Who tells tokens is not.
async fn in_time<T>(
    patience: Duration,
    signals: &Signals,
    asked: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut asked = pin!(asked);
    loop {
        match tokio::time::timeout(patience, &mut asked).await {
            Ok(result) => return result,
            Err(_) if signals.has_worked(0) => {}
            Err(_) => return Err(Error::Timeout(Phase::FirstContent)),
        }
    }
}
