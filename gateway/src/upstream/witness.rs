//! Who wants to know more of some answers than their bytes: told when an answer that was drawn has come to
//! its good end. Nothing waits for a witness, and nothing is kept of an answer that is not drawn.

use std::fmt;
use std::sync::Arc;

use super::attempt::Try;
use super::request::Job;
use crate::market::{Member, Model, Offer};
use crate::stream::{Checkable, Progress};

/// Asked by every answer that a node begins.
pub trait Witness: Send + Sync + fmt::Debug {
    /// Which choice of the answer is to be checked when it is there. The node must not be able to tell.
    fn draws(&self, job: &Job, member: &Member) -> Option<u32>;

    /// An answer that was drawn is whole. Must not block.
    fn answered(&self, answer: Answered);
}

/// Nobody wants to know.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

/// An answer that was drawn.
#[derive(Debug)]
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
    fn draws(&self, _: &Job, _: &Member) -> Option<u32> {
        None
    }

    fn answered(&self, _: Answered) {}
}

// === impl Answered ===

impl Answered {
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
        let job = Job { continuation: None, explain: None, ..job.clone() };
        Some(Self {
            seed: offer.as_ref().and_then(|offer| job.seed(context, offer)),
            nonce: context.seeds.nonce(&job.request_id),
            progress: progress.clone(),
            job,
            model,
            member,
            offer,
            checkable,
        })
    }
}
