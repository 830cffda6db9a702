//! Verdicts into the books: evidence, integrity, the route's honesty, the store; and who fails too much is
//! sent away. Hashes, statistics and signatures are kept, neither prompts nor answers.

use openapi::nodes::{Audited, EvidenceKind, EvidenceRecord, EvidenceVerdict, ScoreRecord};
use openapi::sign::PublicKey;
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, PoisonError};

use super::Trust;
use super::case::{Case, request_id};
use super::score::Word;
use crate::market::evidence::{note, record};
use crate::market::{Integrity, Kept, Member, Offer};
use crate::store;
use crate::upstream::Answered;

/// What is to be written down of one audit.
#[derive(Debug)]
pub(super) struct Audit {
    /// Whether it is a fail; absent: nothing is known.
    is_fail: Option<bool>,
    audited: Audited,
}

// === impl Audit ===

impl Audit {
    pub(super) fn of(answered: &Answered, is_fail: Option<bool>) -> Self {
        let provenance = answered.progress.provenance.as_ref();
        Self {
            is_fail,
            audited: Audited {
                request_sha256: hex::encode(Sha256::digest(request_id(answered).as_bytes())),
                weights_id: answered.weights_id().unwrap_or_default().to_owned(),
                commit: provenance.and_then(|provenance| provenance.commit.clone()),
                sig: provenance.and_then(|provenance| provenance.sig).map(|sig| sig.to_string()),
                profile: None,
                reasons: Vec::new(),
                scores: Vec::new(),
            },
        }
    }

    pub(super) fn because(mut self, reasons: Vec<String>) -> Self {
        self.audited.reasons = reasons;
        self
    }

    pub(super) fn scored(mut self, words: &[Word]) -> Self {
        let records = words.iter().filter_map(|word| word.record.clone());
        self.audited.scores = records.collect();
        let judged = words.iter().filter_map(|word| word.judged.as_ref());
        for one in judged {
            if let Some(key) = &one.key {
                self.audited.profile =
                    Some(format!("{} {} by {}", key.quant, key.writer, key.scorer));
            }
            if let crate::audit::Verdict::Fail(reasons) = &one.verdict {
                self.audited.reasons = reasons.iter().map(ToString::to_string).collect();
            }
        }
        self
    }

    fn record(self, at_ms: i64, model: &str, kind: EvidenceKind) -> EvidenceRecord {
        let verdict = match self.is_fail {
            Some(true) => EvidenceVerdict::Failed,
            Some(false) => EvidenceVerdict::Ok,
            None => EvidenceVerdict::Unknown,
        };
        EvidenceRecord {
            model: Some(model.to_owned()),
            note: (!self.audited.reasons.is_empty())
                .then(|| note(&self.audited.reasons.join("; "))),
            audit: Some(self.audited),
            ..record(at_ms, kind, verdict)
        }
    }
}

impl Trust {
    pub(super) async fn book(&self, answered: &Answered, audit: Audit) {
        let Some(offer) = &answered.offer else { return };
        let is_fail = audit.is_fail;
        let now = self.market.time().now();
        let record = audit.record(now.unix_ms, &answered.model.id, EvidenceKind::Audit);
        if is_fail == Some(true) {
            tracing::warn!(
                request_id = request_id(answered),
                provider = &*answered.member.provider,
                why = record.note.as_deref().unwrap_or_default(),
                "an answer did not stand its audit"
            );
        }
        self.write_down(&answered.member, record).await;
        self.counts(&answered.member, offer, &answered.model.id, is_fail).await;
    }

    /// Of a scorer that others contradict, or confirm.
    pub(super) async fn book_scorer(&self, case: &Case, word: &Word, is_fail: bool) {
        let Some(member) = word.scorer.member() else { return };
        let mut audit = Audit::of(&case.answered, Some(is_fail));
        audit.audited.scores = word.record.clone().into_iter().collect::<Vec<ScoreRecord>>();
        (audit.audited.commit, audit.audited.sig) = (None, None);
        if is_fail {
            audit = audit.because(vec!["what it said of an answer stands alone".to_owned()]);
        }
        let now = self.market.time().now();
        let record = audit.record(now.unix_ms, &case.answered.model.id, EvidenceKind::Score);
        self.write_down(member, record).await;
        self.counts(member, &word.scorer, &case.answered.model.id, Some(is_fail)).await;
    }

    /// What speaks against a node is on disk before anything follows from it.
    async fn write_down(&self, member: &Member, record: EvidenceRecord) {
        if let (Some(store), EvidenceVerdict::Failed) = (self.store.get().cloned(), record.verdict)
        {
            let (node, kept) = (member.node, record.clone());
            told(tokio::task::spawn_blocking(move || store.evidence(&node, &kept)).await);
        }
        member.known.evidence.push(record);
    }

    /// A verdict counts: for the route, for how much is checked, and for whether the node may stay.
    async fn counts(
        &self,
        member: &Arc<Member>,
        offer: &Offer,
        model: &str,
        is_fail: Option<bool>,
    ) {
        let (Some(integrity), Some(is_fail)) = (&offer.integrity, is_fail) else { return };
        offer.learned.audited(!is_fail, self.market.time().now().run_ms);
        let now_ms = u64::try_from(self.market.time().now().unix_ms).unwrap_or_default();
        let booked = integrity.judged(is_fail, now_ms);
        let model = model.to_owned();
        self.keep(Kept { node: member.node, model, verdicts: booked.verdicts }).await;
        if booked.is_over {
            self.quarantine(member, integrity).await;
        }
    }

    /// On disk before anything follows from it. A disk that fails costs the memory of it, no more.
    async fn keep(&self, kept: Kept) {
        let Some(store) = self.store.get().cloned() else { return };
        let done = tokio::task::spawn_blocking(move || store.keep(&kept)).await;
        told(done);
    }

    async fn quarantine(&self, member: &Member, integrity: &Integrity) {
        let verdicts = integrity.verdicts();
        let reason = format!(
            "quarantined: {} of its last audits failed, {} passed",
            verdicts.fails, verdicts.passes
        );
        self.metrics.trust.quarantines.inc();
        tracing::warn!(provider = &*member.provider, reason, "a node is sent away");
        let node: PublicKey = member.node;
        self.eject(&node, &reason).await;
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.forget(|(whose, ..)| *whose == node);
    }
}

/// What did not reach the disk is said, and counts until the process ends.
pub(super) fn told(done: Result<Result<(), store::Error>, tokio::task::JoinError>) {
    match done {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "a verdict is not on disk"),
        Err(error) => tracing::error!(%error, "a verdict is not on disk"),
    }
}
