//! Verdicts that a client waits for: the same check as an audit's, by as many scorers as were asked for,
//! or of two answers by one who wrote neither. What is found is booked as an audit's is.

use futures_util::future::BoxFuture;
use openapi::receipt::Verified;
use openapi::verify::Score;
use std::sync::Arc;

use super::Trust;
use super::books::Audit;
use super::case::Case;
use super::check::Asked;
use super::open::{Opened, open};
use super::score::{Word, node};
use super::scorers::scorers;
use crate::audit::Verdict;
use crate::audit::confirm::{self, Came, Next, Vote};
use crate::consensus::fork;
use crate::market::Offer;
use crate::upstream::{Answered, Context, Judge, Judgement};

impl Judge for Trust {
    fn verify(
        self: Arc<Self>,
        context: Arc<Context>,
        answered: Arc<Answered>,
        scorers: usize,
    ) -> BoxFuture<'static, Judgement> {
        Box::pin(async move { self.verified(&context, (*answered).clone(), scorers).await })
    }

    fn fork(
        self: Arc<Self>,
        context: Arc<Context>,
        pair: [Arc<Answered>; 2],
        at: usize,
    ) -> BoxFuture<'static, fork::Verdict> {
        Box::pin(async move { self.forked(&context, pair, at).await })
    }
}

impl Trust {
    async fn verified(&self, context: &Context, answered: Answered, wanted: usize) -> Judgement {
        let case = match open(context, &self.draw, answered).await {
            Opened::Case(case) => *case,
            Opened::Fault(answered, reason) => {
                let audit = Audit::of(&answered, Some(true)).because(vec![reason.to_string()]);
                self.book(&answered, audit).await;
                return Judgement { verified: Verified::Fail, scorers: Vec::new() };
            }
            Opened::Unknown(..) => return Judgement::none(),
        };
        let (asked, passed) = self.asked_for(context, &case, wanted).await;
        self.odd_ones(&case, &asked.words, &asked.outcome).await;
        let by = |came: Vote| {
            let its = asked.words.iter().filter(move |word| word.came == Came::Vote(came));
            its.map(|word| word.scorer.clone()).collect()
        };
        match asked.outcome.writer {
            confirm::Word::Fail => {
                let audit = Audit::of(&case.answered, Some(true)).scored(&asked.words);
                self.book(&case.answered, audit).await;
                Judgement { verified: Verified::Fail, scorers: by(Vote::Fail) }
            }
            _ if passed >= wanted => {
                Judgement { verified: Verified::Pass, scorers: by(Vote::Pass) }
            }
            _ => Judgement { verified: Verified::None, scorers: by(Vote::Pass) },
        }
    }

    /// Scorer after scorer, until it is clear and as many as wanted let it pass; how many did.
    async fn asked_for(&self, context: &Context, case: &Case, wanted: usize) -> (Asked, usize) {
        let mut audit = confirm::Audit::default();
        let (mut words, mut passed, mut outcome) = (Vec::new(), 0, None);
        for scorer in trusted(context, &case.answered, self) {
            let word = self.word(context, case, &scorer).await;
            let came = word.came;
            // A short answer that nobody could judge alone is no evidence either way.
            let is_judged =
                word.judged.as_ref().is_some_and(|judged| judged.verdict == Verdict::Pass);
            words.push(word);
            if came == Came::Vote(Vote::Pass) && is_judged {
                passed += 1;
            }
            if passed > 0 && came == Came::Vote(Vote::Fail) && outcome.take().is_some() {
                // Two say it stands and now one that it does not: as when a scorer is checked.
                let is_pass = |word: &Word| word.came == Came::Vote(Vote::Pass);
                let first = words.iter().position(is_pass).unwrap_or_default();
                audit = confirm::Audit::recheck(first);
            }
            if outcome.is_none()
                && let Next::Done(done) = audit.take(words.len().saturating_sub(1), came)
            {
                outcome = Some(done);
            }
            let is_clear = outcome
                .as_ref()
                .is_some_and(|done| done.writer == confirm::Word::Fail || passed >= wanted);
            if is_clear || words.len() >= confirm::ASKED_MAX.max(wanted) {
                break;
            }
        }
        let outcome = outcome.unwrap_or_else(|| audit.give_up());
        (Asked { words, outcome }, passed)
    }

    /// Who says that one of them fails is confirmed by a second. That is booked, and who is right is not:
    /// it was asked for, and not drawn.
    async fn forked(
        &self,
        context: &Context,
        [first, second]: [Arc<Answered>; 2],
        at: usize,
    ) -> fork::Verdict {
        let (one, other) = tokio::join!(self.shown(context, &first), self.shown(context, &second));
        let cases = match (one, other) {
            (Shown::Case(one), Shown::Case(other)) => (one, other),
            (Shown::Fault, Shown::Case(_)) => return fork::Verdict::FirstFails,
            (Shown::Case(_), Shown::Fault) => return fork::Verdict::SecondFails,
            _ => return fork::Verdict::Unknown,
        };
        let writers = [first.member.operator_key, second.member.operator_key];
        let mut before: Option<(fork::Verdict, Vec<Word>)> = None;
        for scorer in trusted(context, &first, self) {
            if scorer.member().is_none_or(|member| writers.contains(&member.operator_key)) {
                continue;
            }
            let Some((verdict, blamed)) = self.compared(context, &cases, &scorer, at).await else {
                continue;
            };
            let case = match verdict {
                fork::Verdict::Benign | fork::Verdict::Unknown => return verdict,
                fork::Verdict::FirstFails => &cases.0,
                fork::Verdict::SecondFails => &cases.1,
            };
            match before.take() {
                None => before = Some((verdict, blamed)),
                Some((earlier, mut words)) if earlier == verdict => {
                    words.extend(blamed);
                    let audit = Audit::of(&case.answered, Some(true)).scored(&words);
                    let why = format!("another operator's answer parts from it at token {at}");
                    self.book(&case.answered, audit.because(vec![why])).await;
                    return verdict;
                }
                Some(_) => return fork::Verdict::Unknown,
            }
        }
        fork::Verdict::Unknown
    }

    /// What its node committed itself to.
    async fn shown(&self, context: &Context, answered: &Arc<Answered>) -> Shown {
        match open(context, &self.draw, (**answered).clone()).await {
            Opened::Case(mut case) => {
                // Up to the fork and at it, whatever would be drawn.
                case.positions = None;
                Shown::Case(case)
            }
            Opened::Fault(answered, reason) => {
                let audit = Audit::of(&answered, Some(true)).because(vec![reason.to_string()]);
                self.book(&answered, audit).await;
                Shown::Fault
            }
            Opened::Unknown(..) => Shown::Unknown,
        }
    }

    /// What one scorer makes of both, and its word on whoever it blames. Nothing, if it says nothing.
    async fn compared(
        &self,
        context: &Context,
        (first, second): &(Box<Case>, Box<Case>),
        scorer: &Arc<Offer>,
        at: usize,
    ) -> Option<(fork::Verdict, Vec<Word>)> {
        let (one, scores) = self.heard(context, first, scorer).await;
        let first = branch(&one, &scores, at)?;
        let (other, scores) = self.heard(context, second, scorer).await;
        let verdict = fork::judge(first, branch(&other, &scores, at)?);
        let blamed = match verdict {
            fork::Verdict::FirstFails => vec![one],
            fork::Verdict::SecondFails => vec![other],
            fork::Verdict::Benign | fork::Verdict::Unknown => Vec::new(),
        };
        Some((verdict, blamed))
    }
}

/// Of an answer that is to be compared with another.
enum Shown {
    Case(Box<Case>),
    /// Its node's own word is against it.
    Fault,
    Unknown,
}

fn branch(word: &Word, scores: &[Score], at: usize) -> Option<fork::Branch> {
    let judged = word.judged.as_ref()?;
    let is_sound = !matches!(judged.verdict, Verdict::Fail(_));
    Some(fork::Branch { is_sound, margin: fork::margin(scores, at) })
}

/// Scorers whose word counts, in their order.
fn trusted(context: &Context, answered: &Answered, trust: &Trust) -> Vec<Arc<Offer>> {
    let mut all = scorers(answered, &trust.draw, context.time.now());
    all.retain(|offer| {
        offer.member().is_some_and(|member| context.parties.trusts(member)) && node(offer).is_some()
    });
    all
}
