//! Now and then the scorer is what is checked: an answer that it let pass is shown to others, or it is shown
//! the same tokens in another order and has to find out. It is asked as it is for any audit.

use std::sync::Arc;

use super::Trust;
use super::case::{Case, occasion};
use super::check::Asked;
use super::score::{Word, node, nonce};
use super::scorers::scorers;
use crate::audit::canary;
use crate::audit::confirm::{self, Came, Next};
use crate::audit::draw::Check;
use crate::audit::profile::Key;
use crate::market::Offer;
use crate::upstream;

impl Trust {
    /// Checks `scorer`, who let this answer pass, if that is drawn.
    pub(super) async fn check_scorer(
        &self,
        context: &upstream::Context,
        case: &Case,
        scorer: &Arc<Offer>,
    ) {
        match self.draw.check(&occasion(&case.answered.job)) {
            Some(Check::Again) => self.again(context, case, scorer).await,
            Some(Check::Spoilt) => self.spoilt(context, case, scorer).await,
            None => {}
        }
    }

    async fn again(&self, context: &upstream::Context, case: &Case, passed_by: &Arc<Offer>) {
        let first = Word {
            scorer: passed_by.clone(),
            came: Came::Vote(confirm::Vote::Pass),
            judged: None,
            record: None,
        };
        let mut asked = Asked { words: vec![first], outcome: no_outcome() };
        let mut audit = confirm::Audit::recheck(0);
        let mut others = scorers(&case.answered, &self.draw, context.time.now());
        others.retain(|other| node(other) != node(passed_by));
        for other in others {
            let word = self.word(context, case, &other).await;
            let came = word.came;
            asked.words.push(word);
            if let Next::Done(outcome) = audit.take(asked.words.len().saturating_sub(1), came) {
                asked.outcome = outcome;
                break;
            }
        }
        self.odd_ones(case, &asked.words, &asked.outcome).await;
    }

    async fn spoilt(&self, context: &upstream::Context, case: &Case, scorer: &Arc<Offer>) {
        let mut random = self.draw.randomness(&occasion(&case.answered.job));
        let spoilt = canary::spoilt(case.ids(), &mut random);
        if !canary::is_of_use(case.ids(), &spoilt) {
            return;
        }
        let nonce = nonce(case, scorer);
        let Ok(said) = self.said(context, case, scorer, (&nonce, &spoilt)).await else { return };
        let Some(key) = Key::of(&case.provenance, &said.scored) else { return };
        let thresholds = {
            let profiles = self.profiles.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            profiles.thresholds(&key)
        };
        let order = case.order(&nonce, &spoilt);
        let is_found =
            canary::is_found(&case.answer(), &order, &said.scored, &thresholds, &mut random);
        let came = Came::Vote(if is_found { confirm::Vote::Fail } else { confirm::Vote::Pass });
        let word = Word { scorer: scorer.clone(), came, judged: None, record: None };
        self.book_scorer(case, &word, !is_found).await;
    }
}

/// As long as nobody has said anything.
fn no_outcome() -> confirm::Outcome<usize> {
    confirm::Outcome { writer: confirm::Word::Pass, failed: Vec::new(), confirmed: Vec::new() }
}
