//! Who wants to know more of some answers than their bytes: told when an answer that was drawn has come to
//! its good end. Nothing waits for a witness, and nothing is kept of an answer that is not drawn.

use serde_json::Value;
use std::fmt;
use std::sync::{Arc, OnceLock};

use super::attempt::Try;
use super::request::Job;
use crate::market::{Integrity, Member, Model, Offer};
use crate::request::{Dialect, Policy, Rewrite};
use crate::stream::{Checkable, Progress};

/// Asked by every answer that a node begins.
pub trait Witness: Send + Sync + fmt::Debug {
    /// Which choice of the answer is to be checked when it is there. The node must not be able to tell.
    fn draws(&self, job: &Job, integrity: &Integrity) -> Option<u32>;

    /// An answer that was drawn is whole. Must not block.
    fn answered(&self, answer: Answered);
}

/// Nobody wants to know.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

/// Where an answer of which more is wanted than its bytes is put when it is whole.
pub type Keep = Arc<OnceLock<Arc<Answered>>>;

/// An answer that was drawn.
#[derive(Debug, Clone)]
pub struct Answered {
    /// As the client asked.
    pub job: Job,
    pub model: Arc<Model>,
    pub member: Arc<Member>,
    /// Under which it was asked; gone if the node left meanwhile.
    pub offer: Option<Arc<Offer>>,
    pub progress: Progress,
    pub checkable: Checkable,
    /// The seed that the node was given where the client gave none.
    pub seed: Option<i64>,
    /// What the commitment must name.
    pub nonce: String,
}

// === impl Nobody ===

impl Witness for Nobody {
    fn draws(&self, _: &Job, _: &Integrity) -> Option<u32> {
        None
    }

    fn answered(&self, _: Answered) {}
}

// === impl Answered ===

impl Answered {
    /// The weights that the node says it answers with.
    pub fn weights_id(&self) -> Option<&str> {
        self.offer.as_ref()?.served()?.weights_id.as_deref()
    }

    /// Of the model that answered.
    pub fn policy(&self) -> Option<&Policy> {
        let wanted = self.job.wanted.iter();
        let mut its = wanted.filter(|wanted| wanted.model.id == self.model.id);
        its.find_map(|wanted| wanted.policy.as_deref())
    }

    /// The request as the node got it, for another who calls the model `model`.
    ///
    /// # Errors
    /// Never in fact: it was JSON.
    pub fn request_for(&self, model: &str, seed: u64) -> Result<Value, serde_json::Error> {
        let rewrite = Rewrite {
            model,
            stream: true,
            seed: None,
            dialect: Dialect::default(),
            continuation: None,
        };
        let body = self.job.summary.upstream_body(&self.job.body, rewrite);
        let mut value: Value = serde_json::from_slice(&body)?;
        if let Some(members) = value.as_object_mut() {
            members.insert("seed".to_owned(), seed.into());
        }
        Ok(value)
    }

    /// What the witness is told of an attempt that brought the whole answer.
    pub(super) fn of(
        context: &super::Context,
        job: &Job,
        attempt: &Try,
        progress: &Progress,
        checkable: Checkable,
    ) -> Option<Self> {
        let (member, model) = (attempt.member.clone()?, attempt.model.clone());
        let is_its = |offer: &&Arc<Offer>| {
            Arc::ptr_eq(&offer.endpoint, &attempt.endpoint)
                && offer.upstream_model == attempt.upstream_model
        };
        let offer = model.offers.iter().find(is_its).cloned();
        // Without `keep`, which it may lie in.
        let job = Job { continuation: None, explain: None, keep: None, ..job.clone() };
        Some(Self {
            seed: offer.as_ref().and_then(|offer| job.seed(context, offer)),
            nonce: context.seeds.nonce(&job.request_id, job.draw),
            progress: progress.clone(),
            job,
            model,
            member,
            offer,
            checkable,
        })
    }
}
