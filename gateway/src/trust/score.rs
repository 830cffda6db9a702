//! One scorer asked about one answer: what it says is signed by it, is about what it was asked, and is
//! judged by the thresholds of its profile. It never sees what the writer claims.

use openapi::nodes::ScoreRecord;
use openapi::sign::{PublicKey, Signed};
use openapi::verify::{Score, Scored};
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::Trust;
use super::case::{Case, occasion};
use crate::audit::confirm::{Came, Vote};
use crate::audit::{Judged, Verdict, judge};
use crate::market::Offer;
use crate::metrics::ScoreOutcome;
use crate::upstream::{self, Question, ask};

/// For a score.
const LIMIT: Duration = Duration::from_secs(20);
/// Each token's score, with some of the likeliest beside it, as JSON.
const BYTES_MAX: usize = 8 << 20;

/// What a scorer came back with.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) scorer: Arc<Offer>,
    pub(super) came: Came,
    pub(super) judged: Option<Judged>,
    /// Absent where it said nothing.
    pub(super) record: Option<ScoreRecord>,
}

/// What was said, under whose signature.
pub(super) struct Said {
    pub(super) scored: Scored,
    statement_sha256: String,
    signature: String,
}

impl Trust {
    /// Asks `scorer` about the answer.
    pub(super) async fn word(
        &self,
        context: &upstream::Context,
        case: &Case,
        scorer: &Arc<Offer>,
    ) -> Word {
        self.heard(context, case, scorer).await.0
    }

    /// The same with the scores themselves.
    pub(super) async fn heard(
        &self,
        context: &upstream::Context,
        case: &Case,
        scorer: &Arc<Offer>,
    ) -> (Word, Vec<Score>) {
        let nothing = |came| {
            let word = Word { scorer: scorer.clone(), came, judged: None, record: None };
            (word, Vec::new())
        };
        let nonce = nonce(case, scorer);
        let metrics = &self.metrics.trust.scores;
        let said = match self.said(context, case, scorer, (&nonce, case.ids())).await {
            Ok(said) => said,
            Err(came) => {
                metrics.get(outcome(came)).inc();
                return nothing(came);
            }
        };
        let Some(judged) = self.judged(case, &nonce, &said) else {
            metrics.get(ScoreOutcome::Malformed).inc();
            return nothing(Came::Malformed);
        };
        metrics.get(ScoreOutcome::Ok).inc();
        let record = Some(record(scorer, &said, &judged));
        let word = Word {
            scorer: scorer.clone(),
            came: Vote::of(&judged.verdict),
            judged: Some(judged),
            record,
        };
        (word, said.scored.scores)
    }

    /// What that comes to; nothing, if it is not what was asked.
    fn judged(&self, case: &Case, nonce: &str, said: &Said) -> Option<Judged> {
        let mut random = self.draw.randomness(&occasion(&case.answered.job));
        let order = case.order(nonce, case.ids());
        let profiles = self.profiles.lock().unwrap_or_else(PoisonError::into_inner);
        judge(&case.answer(), &order, &said.scored, &profiles, &mut random).ok()
    }

    /// What the scorer says of these tokens.
    ///
    /// # Errors
    /// It says nothing, or nothing that it signed.
    pub(super) async fn said(
        &self,
        context: &upstream::Context,
        case: &Case,
        scorer: &Arc<Offer>,
        (nonce, ids): (&str, &[u32]),
    ) -> Result<Said, Came> {
        let key = node(scorer).ok_or(Came::Nothing)?;
        let question = case.question(&scorer.upstream_model, nonce, ids);
        let question = question.map_err(|_| Came::Nothing)?;
        let question = Question {
            path: "/v1/verify/score",
            body: Some(&question),
            nonce: None,
            bytes_max: BYTES_MAX,
            limit: LIMIT,
        };
        let signed: Result<Signed<Scored>, _> = ask(context, scorer, question).await;
        let signed = signed.map_err(|error| match error {
            upstream::Error::Stream(_) => Came::Malformed,
            _ => Came::Nothing,
        })?;
        let scored = signed.open(&key).map_err(|_| Came::Malformed)?;
        Ok(Said {
            scored,
            statement_sha256: hex::encode(Sha256::digest(signed.statement.as_bytes())),
            signature: signed.signature.to_string(),
        })
    }
}

pub(super) fn node(offer: &Offer) -> Option<PublicKey> {
    offer.member().map(|member| member.node)
}

/// Another for each scorer: nobody's score can be given out as another's.
pub(super) fn nonce(case: &Case, scorer: &Offer) -> String {
    let mut hash = Sha256::new();
    hash.update(case.answered.nonce.as_bytes());
    hash.update(scorer.endpoint.id.as_bytes());
    hex::encode(hash.finalize().get(..16).unwrap_or_default())
}

fn outcome(came: Came) -> ScoreOutcome {
    match came {
        Came::Vote(_) => ScoreOutcome::Ok,
        Came::Malformed => ScoreOutcome::Malformed,
        Came::Nothing => ScoreOutcome::Failed,
    }
}

fn record(scorer: &Offer, said: &Said, judged: &Judged) -> ScoreRecord {
    let sums = judged.figures.as_ref().map(|figures| figures.sums);
    ScoreRecord {
        scorer: node(scorer).map(|key| key.to_string()).unwrap_or_default(),
        statement_sha256: said.statement_sha256.clone(),
        signature: said.signature.clone(),
        verdict: word(&judged.verdict).to_owned(),
        tokens: sums.map_or(0, |sums| sums.tokens),
        distance: sums.and_then(|sums| sums.distance()),
        drawn_share: sums.and_then(|sums| sums.zero()),
        margin: sums.and_then(|sums| sums.margin()),
    }
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail(_) => "fail",
        Verdict::Grey => "grey",
        Verdict::Short => "short",
        Verdict::None(_) => "none",
    }
}
