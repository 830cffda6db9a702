//! How an answer is judged: what a node committed itself to, beside what another node with the same
//! weights makes of its tokens. Pure: no I/O, no clock, no task; time and randomness come in as numbers.
//! Who is asked, and what is kept, is others' to see to.
//!
//! `binding` is what needs no scorer; `statistics` the figures and `termination` the ends of answers;
//! `profile` the thresholds, `calibrate` where they come from; `verdict` puts them together, `pool` gathers
//! what is too little to judge; `confirm` asks others before anybody is blamed; `canary` judges scorers;
//! `cusum`, `rate` and `draw` are the decisions over time.

pub mod binding;
pub mod calibrate;
pub mod canary;
pub mod confirm;
pub mod cusum;
pub mod draw;
pub mod malformed;
pub mod pool;
pub mod profile;
pub mod rate;
pub mod statistics;
mod termination;
pub mod verdict;

use openapi::chat::FinishReason;
use openapi::commit::Claim;
use openapi::evidence::Provenance;

pub use malformed::{Malformed, Order};
pub use statistics::{Figures, Sums};
pub use verdict::{Judged, Reason, Verdict, Why, judge};

/// What is known of a whole answer, and of the one choice in it that is judged. An answer that broke off
/// has no provenance and is no answer: its node failed, which says nothing of its honesty.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    pub provenance: &'a Provenance,
    /// The ids of every choice from its first token on, as they stood beside the text; of choice 0 also
    /// those that another node drew before.
    pub ids: &'a [Vec<u32>],
    /// As revealed, and found to be what was committed to: [`binding::opened`].
    pub claims: &'a [Vec<Claim>],
    pub choice: usize,
    /// SHA-256, hex, over the text that was sent, in the order in which it was sent.
    pub text_sha256: &'a str,
    pub finish_reason: FinishReason,
    /// The request's.
    pub temperature: f64,
}

// === impl Answer ===

impl Answer<'_> {
    /// Tokens of the choice that others drew.
    pub fn skipped(&self) -> usize {
        match self.choice {
            0 => usize::try_from(self.provenance.resumed).unwrap_or(usize::MAX),
            _ => 0,
        }
    }

    fn own_ids(&self) -> &[u32] {
        self.ids.get(self.choice).map(Vec::as_slice).unwrap_or_default()
    }

    fn own_claims(&self) -> &[Claim] {
        self.claims.get(self.choice).map(Vec::as_slice).unwrap_or_default()
    }
}

#[cfg(test)]
mod testing;
