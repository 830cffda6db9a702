//! From a parsed request to a checked [`Plan`]: every range and form is checked here, once, and each
//! error names its member. What only the engine can know (context length, a bad grammar) is its own.

mod chat;
mod embeddings;
mod head;
mod knobs;
mod messages;
mod resume;
mod text;
mod tools;

pub(super) use chat::plan as chat;
pub(super) use embeddings::{plan as embeddings, relayed as embeddings_relayed};
pub(super) use head::plan as relayed;
pub(super) use text::plan as text;

use crate::engine::{Job, Prompt, RawRequest};
use bytes::Bytes;

/// A request that may be started.
#[derive(Debug)]
pub(super) struct Plan {
    /// The job of choice 0.
    pub(super) job: Job,
    /// Prompts after the job's own; each gets as many choices.
    pub(super) further: Vec<Prompt>,
    /// Of all prompts together.
    pub(super) choices: u32,
    pub(super) stream: bool,
    /// Whether a stream ends with a chunk that carries usage.
    pub(super) include_usage: bool,
}

/// What every check needs besides the members.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) request_id: String,
    pub(super) evidence: bool,
    /// The gateway's name for the occasion; empty without one.
    pub(super) nonce: String,
    pub(super) path: &'static str,
    pub(super) body: Bytes,
    /// The most choices a request may ask for.
    pub(super) choices_max: u32,
    /// The seed when the request brings none.
    pub(super) seed: u64,
}

impl Origin {
    fn raw(&self) -> RawRequest {
        RawRequest { path: self.path.to_owned(), body: self.body.clone() }
    }
}

impl Plan {
    /// At least 1.
    pub(super) fn choices_per_prompt(&self) -> u32 {
        let prompts = u32::try_from(self.further.len()).unwrap_or(u32::MAX).saturating_add(1);
        (self.choices / prompts).max(1)
    }

    /// The job of one choice: same request, next seed; after the choices of a prompt the next prompt.
    pub(super) fn job(&self, choice: u32) -> Job {
        let mut job = self.job.clone();
        job.choice = choice;
        let (prompt, nth) =
            (choice / self.choices_per_prompt(), choice % self.choices_per_prompt());
        if let Some(further) = self.further.get((prompt as usize).wrapping_sub(1)) {
            job.prompt = further.clone();
        }
        job.sampling.seed = job.sampling.seed.wrapping_add(u64::from(nth));
        // Only what passes requests on needs the body, and it takes one job.
        job.raw.body = if choice == 0 { job.raw.body } else { Bytes::new() };
        job
    }
}
