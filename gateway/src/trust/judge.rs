//! Verdicts that a client waits for: the same check as an audit's, by as many scorers as were asked for,
//! or of two answers by one who wrote neither. What is found is booked as an audit's is.

use futures_util::future::BoxFuture;
use openapi::verification::Verified;
use std::sync::Arc;

use super::Trust;
use super::books::Audit;
use super::case::Case;
use super::check::Asked;
use super::open::{Opened, open};
use super::score::node;
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

    /// Who says that one of them fails is asked to be confirmed by a second.
    async fn forked(
        &self,
        context: &Context,
        [first, second]: [Arc<Answered>; 2],
        at: usize,
    ) -> fork::Verdict {
        let writers = [first.member.operator_key, second.member.operator_key];
        let is_apart = |offer: &Arc<Offer>| {
            offer.member().is_some_and(|member| !writers.contains(&member.operator_key))
        };
        let (Some(one), Some(other)) =
            (self.opened(context, &first).await, self.opened(context, &second).await)
        else {
            return fork::Verdict::Unknown;
        };
        let mut before = None;
        for scorer in trusted(context, &first, self).into_iter().filter(is_apart) {
            let Some(branches) = self.branches(context, [&one, &other], &scorer, at).await else {
                continue;
            };
            let [one, other] = branches;
            match fork::judge(one, other) {
                verdict @ (fork::Verdict::Benign | fork::Verdict::Unknown) => return verdict,
                verdict if before == Some(verdict) => return verdict,
                verdict if before.is_none() => before = Some(verdict),
                _ => return fork::Verdict::Unknown,
            }
        }
        fork::Verdict::Unknown
    }

    /// What its node committed itself to; nothing, where it does not show it.
    async fn opened(&self, context: &Context, answered: &Arc<Answered>) -> Option<Case> {
        match open(context, &self.draw, (**answered).clone()).await {
            Opened::Case(mut case) => {
                // Up to the fork and at it, whatever would be drawn.
                case.positions = None;
                Some(*case)
            }
            Opened::Fault(..) | Opened::Unknown(..) => None,
        }
    }

    async fn branches(
        &self,
        context: &Context,
        cases: [&Case; 2],
        scorer: &Arc<Offer>,
        at: usize,
    ) -> Option<[fork::Branch; 2]> {
        let mut branches = Vec::new();
        for case in cases {
            let nonce = super::score::nonce(case, scorer);
            let said = self.said(context, case, scorer, (&nonce, case.ids())).await.ok()?;
            let word = self.judged(case, &nonce, &said)?;
            branches.push(fork::Branch {
                is_sound: !matches!(word.verdict, Verdict::Fail(_)),
                margin: fork::margin(&said.scored.scores, at),
            });
        }
        branches.try_into().ok()
    }
}

/// Scorers whose word counts, in their order.
fn trusted(context: &Context, answered: &Answered, trust: &Trust) -> Vec<Arc<Offer>> {
    let mut all = scorers(answered, &trust.draw, context.time.now());
    all.retain(|offer| {
        offer.member().is_some_and(|member| context.parties.trusts(member)) && node(offer).is_some()
    });
    all
}
