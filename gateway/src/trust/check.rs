//! One check, from the answer to the verdict. A fail by the node's own word is certain; one by a score is
//! confirmed by others before it counts; answers too short to judge wait for each other.

use openapi::receipt::Verified;
use std::sync::{Arc, PoisonError};

use super::books::Audit;
use super::case::Case;
use super::open::{Opened, open};
use super::score::{Word, node};
use super::scorers::scorers;
use super::{Trust, Whose};
use crate::audit::confirm::{self, Next, Outcome};
use crate::audit::pool::{Due, Pooled, settled};
use crate::audit::verdict::of_sums;
use crate::audit::{Judged, Sums, Verdict, profile};
use crate::market::Offer;
use crate::metrics::AuditOutcome;
use crate::upstream::{self, Answered};

/// What those said who were asked, and what follows.
pub(super) struct Asked {
    pub(super) words: Vec<Word>,
    pub(super) outcome: Outcome<usize>,
}

impl Trust {
    pub(super) async fn check(
        &self,
        context: &upstream::Context,
        answered: Answered,
    ) -> AuditOutcome {
        let case = match open(context, &self.draw, answered).await {
            Opened::Case(case) => Arc::new(*case),
            Opened::Fault(answered, reason) => {
                let audit = Audit::of(&answered, Some(true)).because(vec![reason.to_string()]);
                self.tell(&answered, Verified::Fail, &[]);
                self.book(&answered, audit).await;
                return AuditOutcome::Fail;
            }
            Opened::Unknown(answered, why) => {
                let audit = Audit::of(&answered, None).because(vec![why.to_owned()]);
                self.tell(&answered, Verified::None, &[]);
                self.book(&answered, audit).await;
                return AuditOutcome::Unknown;
            }
        };
        let Asked { words, outcome } = self.asked(context, &case).await;
        self.odd_ones(&case, &words, &outcome).await;
        let verified = match outcome.writer {
            confirm::Word::Pass => Verified::Pass,
            confirm::Word::Fail => Verified::Fail,
            confirm::Word::Grey | confirm::Word::None(_) => Verified::None,
        };
        self.tell(&case.answered, verified, &words);
        match outcome.writer {
            confirm::Word::Fail => {
                let audit = Audit::of(&case.answered, Some(true)).scored(&words);
                self.book(&case.answered, audit).await;
                AuditOutcome::Fail
            }
            confirm::Word::None(why) => {
                let reason = format!("{why:?}").to_lowercase();
                let audit = Audit::of(&case.answered, None).scored(&words).because(vec![reason]);
                self.book(&case.answered, audit).await;
                AuditOutcome::Unknown
            }
            confirm::Word::Pass | confirm::Word::Grey => {
                let by = words.first().map(|word| word.scorer.clone());
                let outcome = self.weighed(context, case.clone(), &words).await;
                if let Some(by) = by.filter(|_| outcome == AuditOutcome::Pass && words.len() == 1) {
                    self.check_scorer(context, &case, &by).await;
                }
                outcome
            }
        }
    }

    /// Scorer after scorer, until it is clear.
    async fn asked(&self, context: &upstream::Context, case: &Case) -> Asked {
        let mut audit = confirm::Audit::default();
        let mut words = Vec::new();
        for scorer in scorers(&case.answered, &self.draw, context.time.now()) {
            let word = self.word(context, case, &scorer).await;
            let came = word.came;
            words.push(word);
            if let Next::Done(outcome) = audit.take(words.len().saturating_sub(1), came) {
                return Asked { words, outcome };
            }
        }
        Asked { outcome: audit.give_up(), words }
    }

    /// Nobody calls it a fail: it counts as a pass where there are tokens enough to say so.
    async fn weighed(
        &self,
        context: &upstream::Context,
        case: Arc<Case>,
        words: &[Word],
    ) -> AuditOutcome {
        let its = words.iter().rev().find_map(|word| word.judged.as_ref().filter(|j| is_due(j)));
        let Some((judged, key)) = its.and_then(|judged| Some((judged, judged.key.clone()?))) else {
            return AuditOutcome::Unknown;
        };
        let due = {
            let profiles = self.profiles.lock().unwrap_or_else(PoisonError::into_inner);
            let thresholds = profiles.thresholds(&key);
            let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
            pools.take(whose(&case, key.clone()), judged, &thresholds, case.clone())
        };
        match due {
            Due::Pass => {
                let audit = Audit::of(&case.answered, Some(false)).scored(words);
                self.book(&case.answered, audit).await;
                AuditOutcome::Pass
            }
            // All is well so far.
            Due::Wait => AuditOutcome::Pass,
            Due::Fail(pooled) => self.together(context, &case, pooled, words).await,
        }
    }

    /// Several answers together are a fail: all of them are scored again by another.
    async fn together(
        &self,
        context: &upstream::Context,
        last: &Case,
        pooled: Pooled<Arc<Case>>,
        words: &[Word],
    ) -> AuditOutcome {
        let first = words.first().and_then(|word| node(&word.scorer));
        let mut all = scorers(&last.answered, &self.draw, context.time.now());
        all.retain(|scorer| node(scorer) != first);
        for scorer in all {
            let Some((sums, key)) = self.sums(context, &pooled.parts, &scorer).await else {
                continue;
            };
            let is_fail = {
                let profiles = self.profiles.lock().unwrap_or_else(PoisonError::into_inner);
                let thresholds = profiles.thresholds(&key);
                match pooled.is_watched {
                    true => settled(&sums, &thresholds).is_some(),
                    false => matches!(of_sums(&sums, &thresholds), Verdict::Fail(_)),
                }
            };
            let reasons = pooled.reasons.iter().map(ToString::to_string).collect();
            let audit = Audit::of(&last.answered, Some(is_fail)).scored(words);
            self.book(&last.answered, if is_fail { audit.because(reasons) } else { audit }).await;
            return if is_fail { AuditOutcome::Fail } else { AuditOutcome::Pass };
        }
        AuditOutcome::Unknown
    }

    /// What another makes of all of them; nothing, unless of each.
    async fn sums(
        &self,
        context: &upstream::Context,
        parts: &[Arc<Case>],
        scorer: &Arc<Offer>,
    ) -> Option<(Sums, profile::Key)> {
        let mut sums = Sums::default();
        let mut key = None;
        for case in parts {
            let judged = self.word(context, case, scorer).await.judged?;
            sums.add(&judged.figures?.sums);
            key = judged.key;
        }
        Some((sums, key?))
    }

    /// Scorers that stand alone with what they said get the fail.
    pub(super) async fn odd_ones(&self, case: &Case, words: &[Word], outcome: &Outcome<usize>) {
        for at in &outcome.failed {
            if let Some(word) = words.get(*at) {
                self.book_scorer(case, word, true).await;
            }
        }
        for at in &outcome.confirmed {
            if let Some(word) = words.get(*at) {
                self.book_scorer(case, word, false).await;
            }
        }
    }
}

fn is_due(judged: &Judged) -> bool {
    matches!(judged.verdict, Verdict::Pass | Verdict::Short | Verdict::Grey)
}

fn whose(case: &Case, key: profile::Key) -> Whose {
    (case.answered.member.node, case.answered.model.id.clone(), key)
}
