//! Those who are asked for one answer, at once: whoever fails is replaced, and the vote that settles it
//! ends all others, of whom nobody is blamed for that. No task: all are polled by whoever waits.

use fixedbitset::FixedBitSet;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use openapi::verification::Party;
use std::sync::Arc;
use std::task::{Context as Cx, Poll, ready};

use super::member::{Asked, Ballot, Came};
use super::parties;
use crate::consensus::agreement::{Agreement, Decision, Event, Next, Rules};
use crate::consensus::{Form, fork};
use crate::request::policy::{Hedge, Mode, Policy};
use crate::upstream::attempt::{Context, Exchange, more_telling};
use crate::upstream::body::ErrorEvent;
use crate::upstream::error::{Error, Phase};
use crate::upstream::opened::Opened;
use crate::upstream::record::Record;
use crate::upstream::request::{Job, Wanted};
use crate::upstream::witness::Keep;

/// More generations than a request asks for, where these don't agree.
const N_MAX: u32 = 5;

pub(super) struct Panel {
    pub(super) context: Arc<Context>,
    /// As each member is asked, but for whom.
    pub(super) job: Job,
    error_event: ErrorEvent,
    record: Record,
    /// Whom to ask, in this order.
    seats: std::vec::IntoIter<Arc<FixedBitSet>>,
    /// All of them together.
    all: Arc<FixedBitSet>,
    agreement: Agreement,
    /// Who was asked, by number.
    pub(super) asked: Vec<Option<Party>>,
    /// Attempts that are left.
    left: u32,
    pub(super) ballots: Vec<Ballot>,
    pub(super) under_way: FuturesUnordered<BoxFuture<'static, (usize, Step)>>,
    /// Nobody else's answer goes to the client as it comes.
    has_leader: bool,
    is_led: bool,
    refusals: usize,
    failures: usize,
    pub(super) worst: Option<Error>,
}

pub(super) enum Step {
    Came(Came),
    Fork { second: usize, verdict: fork::Verdict },
}

/// What there is to know of it.
pub(super) enum News {
    /// The first content that there is.
    Opened(Asked, Box<(Exchange, Opened)>),
    Decided(Decision),
    /// The request is wrong, as those say who were asked.
    Refused(Error),
}

// === impl Panel ===

impl Panel {
    /// Asks as many as the request wants.
    ///
    /// # Errors
    /// There are too few.
    pub(super) fn convene(
        context: &Arc<Context>,
        job: &Job,
        wanted: &Wanted,
        record: &mut Record,
        error_event: ErrorEvent,
    ) -> Result<Self, Error> {
        let rules = rules(job, wanted);
        let wanted = Wanted { policy: shared_out(wanted, rules.n), ..wanted.clone() };
        let (seats, all) = seats(context, job, &wanted, rules)?;
        let is_quorum = job.verification.mode == Mode::Quorum;
        let limits = &context.limits;
        let left = u32::try_from(rules.n_max).unwrap_or(u32::MAX);
        let mut panel = Self {
            context: context.clone(),
            job: Job {
                wanted: [Wanted { among: Some(all.clone()), ..wanted }].into_iter().collect(),
                hedge: if is_quorum { Hedge::Off } else { job.hedge },
                // What others make of one of the answers is not yet a word about the client's.
                receipt: None,
                ..job.clone()
            },
            error_event,
            record: record.part(),
            seats: seats.into_iter(),
            all,
            agreement: Agreement::new(rules),
            asked: Vec::new(),
            left: left.saturating_add(limits.attempts.saturating_sub(1)),
            ballots: Vec::new(),
            under_way: FuturesUnordered::new(),
            has_leader: false,
            is_led: false,
            failures: 0,
            refusals: 0,
            worst: None,
        };
        panel.ask(rules.n);
        Ok(panel)
    }

    /// What comes next. There is none after a decision.
    pub(super) fn poll(&mut self, cx: &mut Cx<'_>) -> Poll<News> {
        loop {
            let Some((number, step)) = ready!(self.under_way.poll_next_unpin(cx)) else {
                // The leader is read by somebody else.
                return Poll::Pending;
            };
            let event = match step {
                Step::Fork { second, verdict } => Event::Fork { first: number, second, verdict },
                Step::Came(Came::Opened(asked, opened)) => {
                    if !std::mem::replace(&mut self.has_leader, true) {
                        self.is_led = true;
                        return Poll::Ready(News::Opened(asked, opened));
                    }
                    self.gather(asked, opened);
                    continue;
                }
                Step::Came(Came::Ballot(ballot)) => self.vote(*ballot),
                Step::Came(Came::Failed(error)) => match self.failed(number, error) {
                    Ok(event) => event,
                    Err(error) => return Poll::Ready(News::Refused(error)),
                },
            };
            if let Some(decision) = self.take(event) {
                return Poll::Ready(News::Decided(decision));
            }
        }
    }

    /// Nobody is to be the leader.
    pub(super) fn is_buffered(&mut self) {
        self.has_leader = true;
    }

    /// Another may go on with what the leader began, as with any stream.
    pub(super) fn lead(&self, exchange: &mut Exchange) {
        exchange.job.wanted.iter_mut().for_each(|wanted| wanted.among = Some(self.all.clone()));
    }

    fn gather(&mut self, asked: Asked, opened: Box<(Exchange, Opened)>) {
        let number = asked.number;
        let gathered = asked.gather(opened, self.error_event);
        self.under_way.push(Box::pin(gathered.map(move |came| (number, Step::Came(came)))));
    }

    /// Puts an answer to the others.
    pub(super) fn vote(&mut self, ballot: Ballot) -> Event {
        let answered = ballot.answered.as_deref();
        let ids = answered.and_then(|answered| answered.progress.ids.first().cloned());
        let event =
            Event::Answer { member: ballot.member, key: ballot.key, ids: ids.unwrap_or_default() };
        self.ballots.push(ballot);
        event
    }

    /// # Errors
    /// As many as had to agree say that the request is wrong.
    fn failed(&mut self, member: usize, error: Error) -> Result<Event, Error> {
        if let Error::Rejected { .. } = error {
            self.refusals += 1;
            let is_enough = self.refusals >= self.agreement.k() || error.is_about_content();
            if is_enough && self.ballots.is_empty() && !self.is_led {
                self.under_way.clear();
                return Err(error);
            }
        }
        if matches!(error, Error::Timeout(Phase::Request) | Error::Draining) {
            // There is no time for anybody else.
            self.left = 0;
        }
        self.worst = Some(more_telling(self.worst.take(), error));
        Ok(self.lost(member))
    }

    /// There is no answer of it that counts.
    pub(super) fn lost(&mut self, member: usize) -> Event {
        self.failures += 1;
        Event::Failed { member }
    }

    /// Generations, without those that failed.
    pub(super) fn generations(&self) -> usize {
        self.asked.len().saturating_sub(self.failures)
    }

    /// What follows from it; the others are let go with a decision.
    pub(super) fn take(&mut self, event: Event) -> Option<Decision> {
        let mut next = self.agreement.take(event);
        loop {
            match next {
                Next::Wait => return None,
                Next::Ask(count) => {
                    let asked = self.ask(count);
                    if asked == count {
                        return None;
                    }
                    self.agreement.only(asked, count);
                    next = self.agreement.take(Event::NobodyElse);
                }
                Next::Adjudicate { first, second, at } => {
                    self.adjudicate(first, second, at);
                    return None;
                }
                Next::Done(decision) => {
                    self.under_way.clear();
                    return Some(decision);
                }
            }
        }
    }

    /// What there is has to do.
    pub(super) fn give_up(&mut self) -> Decision {
        self.under_way.clear();
        self.agreement.give_up()
    }

    pub(super) fn ballot(&self, member: usize) -> Option<&Ballot> {
        self.ballots.iter().find(|ballot| ballot.member == member)
    }

    fn adjudicate(&mut self, first: usize, second: usize, at: usize) {
        let answered = |member| self.ballot(member).and_then(|ballot| ballot.answered.clone());
        let verdict: BoxFuture<'static, fork::Verdict> = match (answered(first), answered(second)) {
            (Some(one), Some(other)) => {
                self.context.judge.clone().fork(self.context.clone(), [one, other], at)
            }
            _ => Box::pin(std::future::ready(fork::Verdict::Unknown)),
        };
        let step = verdict.map(move |verdict| (first, Step::Fork { second, verdict }));
        self.under_way.push(Box::pin(step));
    }

    /// Asks so many more; how many there were.
    fn ask(&mut self, count: usize) -> usize {
        (0..count).take_while(|_| self.ask_one()).count()
    }

    fn ask_one(&mut self) -> bool {
        let Some(left) = self.left.checked_sub(1) else { return false };
        let Some(among) = self.seats.next() else { return false };
        self.left = left;
        let (number, keep) = (self.asked.len(), Keep::default());
        let mut job = Job { keep: Some(keep.clone()), ..self.job.clone() };
        let by = self.only(&among);
        job.wanted.iter_mut().for_each(|wanted| wanted.among = Some(among.clone()));
        let form = if job.summary.structured { Form::Json } else { Form::Text };
        let asked = Asked { number, by: by.clone(), keep, form };
        self.asked.push(by);
        let exchange = Exchange::new(self.context.clone(), job, self.record.part());
        let came = asked.begin(exchange).map(move |came| (number, Step::Came(came)));
        self.under_way.push(Box::pin(came));
        true
    }

    /// The only one who can answer.
    fn only(&self, among: &FixedBitSet) -> Option<Party> {
        let mut places = among.ones();
        let (place, others) = (places.next()?, places.next());
        let offer = self.job.wanted.first()?.model.offers.get(place)?;
        let (provider, operator) = (&offer.endpoint.id, &offer.endpoint.operator);
        let party = Party { provider: provider.to_string(), operator: operator.to_string() };
        others.is_none().then_some(party)
    }
}

/// How many are asked, and how many must agree. For `verify` one answers, and others look at it.
fn rules(job: &Job, wanted: &Wanted) -> Rules {
    let verification = &job.verification;
    if verification.mode != Mode::Quorum {
        return Rules { k: 1, n: 1, n_max: 1 };
    }
    let (n, ceiling) = (verification.n(), job.grant.account.rules.quorum_max());
    // What may be spent is shared out among so many.
    let n_max = if bound(wanted).is_some() { n } else { n.max(N_MAX.min(ceiling)) };
    Rules { k: verification.k() as usize, n: n as usize, n_max: n_max as usize }
}

fn bound(wanted: &Wanted) -> Option<f64> {
    wanted.policy.as_deref().and_then(|policy| policy.max_price.request)
}

/// What a request may cost is for all answers together.
fn shared_out(wanted: &Wanted, n: usize) -> Option<Arc<Policy>> {
    let policy = wanted.policy.clone()?;
    let Some(max) = policy.max_price.request.filter(|_| n > 1) else { return Some(policy) };
    let mut policy = (*policy).clone();
    #[expect(clippy::cast_precision_loss, reason = "at most 16")]
    let share = max / n as f64;
    policy.max_price.request = Some(share);
    Some(Arc::new(policy))
}

type Seats = (Vec<Arc<FixedBitSet>>, Arc<FixedBitSet>);

fn seats(context: &Context, job: &Job, wanted: &Wanted, rules: Rules) -> Result<Seats, Error> {
    if job.verification.mode != Mode::Quorum {
        let scorers = job.verification.k().saturating_sub(1) as usize;
        let all = Arc::new(parties::checkable(context, job, wanted, scorers)?);
        return Ok((vec![all.clone()], all));
    }
    let drawn = parties::drawn(context, job, wanted, rules.n)?;
    let count = wanted.model.offers.len();
    let set = |places: &mut dyn Iterator<Item = usize>| {
        let mut set = FixedBitSet::with_capacity(count);
        set.extend(places);
        Arc::new(set)
    };
    let all = set(&mut drawn.iter().copied());
    Ok((drawn.into_iter().map(|place| set(&mut std::iter::once(place))).collect(), all))
}
