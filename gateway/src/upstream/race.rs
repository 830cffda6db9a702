//! The race at one model: an attempt, a second one beside it where the first token is late, the next
//! where one failed or is given up. The first whose content comes wins, the others are dropped, which
//! cancels them. No task: all are polled by whoever waits for the answer.

use futures_util::future::BoxFuture;
use smallvec::SmallVec;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

use super::admission::{self, Place};
use super::attempt::{self, Context, Goal, Good, more_telling, note};
use super::error::{Error, Phase};
use super::explain::Why;
use super::patience::Patience;
use super::purse::Purse;
use super::record::Record;
use super::request::{Job, Wanted};
use super::slate::Slate;
use super::tally::{Signals, Tally, outcome};
use crate::market::{Model, Offer};
use crate::metrics::Label as _;
use crate::route::choice::{Choice, Chosen, UTILISATION_MAX};
use crate::route::hedge::Hedges;

mod probe;
mod second;

/// When a model's requests were retried as often as they may be.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Race<'a> {
    context: &'a Arc<Context>,
    job: &'a Job,
    model: &'a Arc<Model>,
    slate: &'a Slate<'a>,
    goal: Goal,
    record: &'a mut Record,
    purse: &'a mut Purse,
    signals: Arc<Signals>,
    /// Under way, the earliest first.
    racers: SmallVec<[Racer<'a>; 1]>,
    /// Places of those that were asked.
    tried: SmallVec<[usize; 4]>,
    /// Attempts made, and those of them that found the way gone.
    made: u32,
    gone: u32,
    /// When a second one is to be asked.
    hedge_at: Option<Instant>,
    /// Content has come: nobody else is asked.
    is_settled: bool,
    is_hedged: bool,
    /// Dollars that losers cost.
    lost: f64,
    /// The failure that tells most; one node's word about the request.
    worst: Option<Error>,
    refused: Option<Error>,
    /// The latter is enough: no other node is asked for its word.
    is_refused: bool,
    /// Whose word that is.
    refuser: Option<&'a Arc<Offer>>,
    /// Those of no more tokens need not be asked.
    beyond: Option<u64>,
    /// The one that failed last, where it may do better at once.
    again: Option<Chosen>,
}

/// One attempt under way.
struct Racer<'a> {
    number: u32,
    offer: &'a Arc<Offer>,
    chosen: Chosen,
    why: Why,
    begun: Instant,
    predicted_s: f32,
    patience: Patience,
    /// When it is given up, if there is somebody else.
    late_at: Instant,
    /// Its number in the explanation.
    told: Option<usize>,
    future: BoxFuture<'a, Result<Good, Error>>,
}

#[expect(clippy::large_enum_variant, reason = "one a step, taken apart where it is made")]
enum Step<'a> {
    Ended(Racer<'a>, Result<Good, Error>),
    /// The first content of a whole answer came; the rest is still to come.
    Content(u32),
    Due,
}

/// Asks the providers of `wanted` until one reaches the goal.
pub(super) async fn at(
    context: &Arc<Context>,
    job: &Job,
    wanted: &Wanted,
    goal: Goal,
    record: &mut Record,
    purse: &mut Purse,
) -> Result<Good, Error> {
    let slate = Slate::new(context, wanted, job)?;
    let race = Race {
        context,
        job,
        model: &wanted.model,
        slate: &slate,
        goal,
        record,
        purse,
        signals: Arc::default(),
        racers: SmallVec::new(),
        tried: SmallVec::new(),
        made: 0,
        gone: 0,
        hedge_at: None,
        is_settled: false,
        is_hedged: false,
        lost: 0.0,
        worst: None,
        refused: None,
        is_refused: false,
        refuser: None,
        beyond: None,
        again: None,
    };
    race.run().await
}

// === impl Race ===

impl<'a> Race<'a> {
    async fn run(mut self) -> Result<Good, Error> {
        let shared = &self.model.shared;
        let (choice, place) = self.room().await?;
        shared.retries.request(self.now_ms());
        shared.hedges.request(&self.context.hedging.budget, choice.utilisation);
        self.first(&choice);
        drop(place);
        if self.racers.is_empty() {
            return Err(self.slate.nobody(&choice, self.now_ms()));
        }
        loop {
            match self.next().await {
                Step::Content(number) => self.settle(number),
                Step::Due => self.due(),
                Step::Ended(racer, Ok(good)) => {
                    self.won(&racer);
                    return Ok(good);
                }
                Step::Ended(racer, Err(error)) => {
                    self.failed(racer, error)?;
                    self.go_on().await?;
                }
            }
        }
    }

    /// Waits for room, if need be.
    async fn room(&mut self) -> Result<(Choice, Option<Place<'a>>), Error> {
        let Self { context, job, model, slate, ref tried, beyond, refuser, .. } = *self;
        let fits = |offer: &Offer| takes(offer, beyond) && is_apart(refuser, offer);
        let look = || slate.pick(context, tried, UTILISATION_MAX, &fits);
        let is_narrow =
            slate.is_narrow() || !tried.is_empty() || beyond.is_some() || refuser.is_some();
        let may_wait = self.purse.may_wait;
        admission::room(context, job, model, slate, (is_narrow, may_wait), look).await
    }

    fn pick(&self, utilisation_max: f64, may: &dyn Fn(&Offer) -> bool) -> Choice {
        let fits = |offer: &Offer| {
            takes(offer, self.beyond) && is_apart(self.refuser, offer) && may(offer)
        };
        self.slate.pick(self.context, &self.tried, utilisation_max, &fits)
    }

    /// The first attempt, and with it one that is due to be tried again.
    fn first(&mut self, choice: &Choice) {
        let probe = choice.probe.filter(|probe| self.may_probe(probe));
        match (choice.best, probe) {
            (Some(best), Some(probe)) if self.context.hedging.enabled => {
                self.start(best, Why::First);
                self.probe(probe);
            }
            // Where nothing is asked twice it takes the first's place, if another may follow.
            (Some(_), Some(probe)) if self.slate.attempts_max > 1 && self.purse.has_two() => {
                self.start(probe, Why::Probe);
            }
            (Some(best), _) => {
                self.start(best, Why::First);
                if let Some(unused) = self.to_explore(choice) {
                    self.try_out(unused);
                }
            }
            // There is nobody else, whatever the request wants.
            (None, _) => choice.probe.into_iter().for_each(|probe| self.start(probe, Why::First)),
        }
    }

    /// What comes next. Attempts before timers, the earlier before the later.
    async fn next(&mut self) -> Step<'a> {
        let Self { racers, signals, is_settled, hedge_at, .. } = self;
        let late_at = racers.iter().map(|racer| racer.late_at).min();
        let due = if *is_settled { None } else { late_at.into_iter().chain(*hedge_at).min() };
        let mut sleep = pin!(due.map(tokio::time::sleep_until));
        poll_fn(|cx| {
            for at in 0..racers.len() {
                let Some(racer) = racers.get_mut(at) else { break };
                if let Poll::Ready(result) = racer.future.as_mut().poll(cx) {
                    return Poll::Ready(Step::Ended(racers.remove(at), result));
                }
            }
            if let Some(number) = signals.winner().filter(|_| !*is_settled) {
                return Poll::Ready(Step::Content(number));
            }
            match sleep.as_mut().as_pin_mut() {
                Some(sleep) => sleep.poll(cx).map(|()| Step::Due),
                None => Poll::Pending,
            }
        })
        .await
    }

    fn due(&mut self) {
        let now = Instant::now();
        // Whoever tells tokens is not late, though there is nothing to show of them yet.
        for racer in &mut self.racers {
            if self.signals.has_worked(racer.number) {
                self.hedge_at = self.hedge_at.map(|at| at.max(now + racer.patience.late));
                racer.late_at = now + racer.patience.given_up;
            }
        }
        if self.hedge_at.is_some_and(|at| at <= now) {
            self.hedge(now);
        }
        while let Some(at) = self.racers.iter().position(|racer| racer.late_at <= now) {
            self.give_up(at, now);
        }
    }

    /// One that is too slow makes room for another, if there is one. Else it is waited for.
    fn give_up(&mut self, at: usize, now: Instant) {
        let next = self.pick(UTILISATION_MAX, &|_| true).best.filter(|next| self.may_retry(next));
        let Some(racer) = self.racers.get_mut(at) else { return };
        let Some(next) = next else {
            racer.late_at = now + racer.patience.given_up.max(Duration::from_secs(1));
            return;
        };
        let racer = self.racers.remove(at);
        self.signals.give_up(racer.number);
        let error = Error::Timeout(Phase::FirstContent);
        self.end(&racer, &error);
        drop(racer);
        self.worst = Some(more_telling(self.worst.take(), error));
        self.start(next, Why::Retry);
    }

    /// The books of an attempt that failed.
    fn end(&self, racer: &Racer<'_>, error: &Error) {
        let offer = racer.offer;
        note(&offer.endpoint, offer.member(), error);
        self.record.failed_attempt(&offer.endpoint, error);
        self.tell(racer, outcome(error).as_str());
    }

    /// # Errors
    /// It is the request's answer.
    fn failed(&mut self, racer: Racer<'a>, error: Error) -> Result<(), Error> {
        if self.signals.winner() == Some(racer.number) {
            self.signals.forget_winner();
            self.is_settled = false;
        }
        self.end(&racer, &error);
        if matches!(error, Error::Gone) {
            self.gone += 1;
            self.purse.give_back(self.wasted(&racer.chosen), self.gone);
        }
        self.again = error.is_transient().then_some(racer.chosen);
        if racer.offer.member().is_some()
            && matches!(error, Error::Rejected { .. })
            && (self.refused.is_none() || !is_apart(self.refuser, racer.offer))
            && !error.is_about_content()
        {
            // One operator's word about the request: else who refuses all that comes, at once and
            // always idle, would get most of it. Another's word is enough.
            self.beyond = racer.offer.context.filter(|_| error.is_about_context());
            (self.refused, self.refuser) = (Some(error), Some(racer.offer));
            return Ok(());
        }
        if !error.is_retryable() {
            // Whoever is under way may answer it all the same: no second one's word ends the first.
            self.is_refused = true;
            self.refused.get_or_insert(error);
        } else {
            self.worst = Some(more_telling(self.worst.take(), error));
        }
        match self.refused.take_if(|_| self.is_refused && self.racers.is_empty()) {
            Some(refused) => Err(refused),
            None => Ok(()),
        }
    }

    /// The next attempt after a failure: at once, whoever else is under way; where nobody is, and all
    /// others are busy, when one of them has room.
    ///
    /// # Errors
    /// There is none, and nobody is under way.
    async fn go_on(&mut self) -> Result<(), Error> {
        if self.is_settled || (self.refused.is_some() && !self.racers.is_empty()) {
            return Ok(());
        }
        if !self.has_attempts() {
            return self.wait_for_others();
        }
        let choice = self.pick(UTILISATION_MAX, &|_| true);
        let (choice, place) = match choice {
            Choice { best: Some(_), .. } => (choice, None),
            _ if !self.racers.is_empty() => return Ok(()),
            Choice { drawn: 0, .. } => (Choice { best: self.same_again(), ..choice }, None),
            _ => match self.room().await {
                Ok(found) => found,
                Err(error) => return Err(self.told(error)),
            },
        };
        match choice.best {
            Some(next) if self.may_retry(&next) => self.start(next, Why::Retry),
            _ => return self.wait_for_others(),
        }
        drop(place);
        Ok(())
    }

    fn wait_for_others(&mut self) -> Result<(), Error> {
        match self.racers.is_empty() {
            true => {
                let nobody = self.slate.nobody(&Choice::default(), self.now_ms());
                Err(self.told(nobody))
            }
            false => Ok(()),
        }
    }

    /// What the client is told when all is spent.
    fn told(&mut self, otherwise: Error) -> Error {
        self.refused.take().or(self.worst.take()).unwrap_or(otherwise)
    }

    /// A model's only provider is asked once more.
    fn same_again(&mut self) -> Option<Chosen> {
        let again = self.again.take()?;
        let is_alone = self.model.crowd.len() == 1 && self.made == 1;
        let place = |choice: Choice| choice.best.filter(|best| best.place == again.place);
        // As it is by now: its offer may be over.
        let pick = || self.slate.pick(self.context, &[], UTILISATION_MAX, &|_| true);
        (is_alone && self.slate.attempts_max > 1).then(pick).and_then(place)
    }

    fn has_attempts(&self) -> bool {
        self.tried.len() < self.slate.attempts_max && self.purse.allows(0.0)
    }

    /// Whether a failed request may have another attempt there. Where all fail, not all are tried again.
    fn may_retry(&mut self, next: &Chosen) -> bool {
        if !self.has_attempts() || !self.purse.allows(next.facts.money(self.slate.ask())) {
            return false;
        }
        if self.gone == self.made || self.refused.is_some() {
            return true;
        }
        let may = self.model.shared.retries.take(self.now_ms());
        if !may {
            self.context.metrics.route.retries_denied.inc();
            if !matches!(self.worst, Some(Error::RateLimited { .. })) {
                let reason = "its providers fail, and as many requests are tried again as may be";
                self.worst = Some(Error::NoProvider {
                    reason: reason.into(),
                    retry_after: Some(RETRY_AFTER),
                });
            }
        }
        may
    }

    fn start(&mut self, chosen: Chosen, why: Why) {
        let (context, job, model) = (self.context, self.job, self.model);
        let Some(offer) = model.offers.get(chosen.place) else { return };
        let number = self.made;
        self.made += 1;
        self.tried.push(chosen.place);
        self.purse.take(self.wasted(&chosen));
        self.record.attempt((&offer.endpoint, offer.member()), &model.id, why);
        if let Some(member) = offer.member() {
            member.asked();
        }
        let tally = Tally::begin(context, job, (model, offer), self.slate, &chosen.facts)
            .racing(number, &self.signals);
        let predicted_s = tally.dispatch().predicted_s;
        let patience = Patience::new(
            &model.shared.hedges,
            &context.hedging,
            &context.limits,
            tally.dispatch(),
        );
        let begun = Instant::now();
        if why != Why::Hedge {
            self.hedge_at = (self.purse.hedges > 0).then_some(begun + patience.late);
        }
        self.racers.push(Racer {
            number,
            offer,
            chosen,
            why,
            begun,
            predicted_s,
            patience,
            late_at: begun + patience.given_up,
            told: job.explain.as_ref().map(|explain| explain.began(offer, why)),
            future: Box::pin(attempt::attempt(self.goal, context, job, model, offer, tally)),
        });
    }

    /// Dollars that an attempt there costs if it comes to nothing.
    fn wasted(&self, chosen: &Chosen) -> f64 {
        Hedges::wasted(&chosen.facts, self.slate.ask())
    }

    fn tell_content(&self, racer: &Racer<'_>) {
        if let (Some(explain), Some(told)) = (&self.job.explain, racer.told) {
            explain.first_token(told);
        }
    }

    fn tell(&self, racer: &Racer<'_>, outcome: &str) {
        if let (Some(explain), Some(told)) = (&self.job.explain, racer.told) {
            explain.ended(told, outcome);
        }
    }

    fn now_ms(&self) -> u64 {
        self.context.time.now().run_ms
    }
}

/// What was too long for one goes only where more is known to fit.
fn takes(offer: &Offer, beyond: Option<u64>) -> bool {
    beyond.is_none_or(|beyond| offer.context.is_some_and(|context| context > beyond))
}

/// Whether it is another operator's than who refused the request.
fn is_apart(refuser: Option<&Arc<Offer>>, offer: &Offer) -> bool {
    refuser.is_none_or(|refuser| refuser.endpoint.operator != offer.endpoint.operator)
}
