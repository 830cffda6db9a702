//! What is told of an answer in comments: which tokens it was made of, and before its end how it was
//! made, with the writer's commitment. Where this node has no key, there is no commitment.

use super::Heading;
use crate::clock::Clock;
use crate::http::verify::Trust;
use openapi::commit::{self, Claim, Commitment, ids_sha256, logprobs_sha256};
use openapi::evidence::Provenance;
use openapi::resume::Resume;
use openapi::usage::Usage;
use openapi::verify::Revealed;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Evidence {
    provenance: Option<Box<Provenance>>,
    /// Of each choice what was drawn, here or elsewhere.
    ids: Vec<Vec<u32>>,
    /// Of each choice what is claimed of what was drawn here.
    claims: Vec<Vec<Claim>>,
    pledge: Pledge,
}

/// What a commitment is about, beside the answer itself.
#[derive(Debug)]
pub(super) struct Pledge {
    pub(super) trust: Trust,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) request_id: String,
    pub(super) nonce: String,
}

// === impl Evidence ===

impl Evidence {
    pub(super) fn new(
        provenance: Option<Box<Provenance>>,
        choices: u32,
        resume: Option<&Resume>,
        pledge: Pledge,
    ) -> Self {
        let mut ids = vec![Vec::new(); choices as usize];
        let mut provenance = provenance;
        if let (Some(resume), Some(first)) = (resume, ids.first_mut()) {
            first.clone_from(&resume.ids);
            if let Some(provenance) = &mut provenance {
                provenance.resumed = resume.ids.len() as u64;
            }
        }
        Self { provenance, ids, claims: vec![Vec::new(); choices as usize], pledge }
    }

    pub(super) fn drawn(&mut self, choice: u32, ids: &[u32]) {
        if let Some(all) = self.ids.get_mut(choice as usize) {
            all.extend_from_slice(ids);
        }
    }

    pub(super) fn claimed(&mut self, choice: u32, claims: Vec<Claim>) {
        if let Some(all) = self.claims.get_mut(choice as usize) {
            *all = claims;
        }
    }

    /// To be told before the end. An engine that commits by itself is believed.
    pub(super) fn provenance(
        &mut self,
        usage: Usage,
        heading: &Heading,
    ) -> Option<Box<Provenance>> {
        let mut provenance = self.provenance.take()?;
        provenance.usage = usage;
        if provenance.commit.is_none()
            && let Some(key) = &self.pledge.trust.key
        {
            let choices = std::mem::take(&mut self.claims);
            let about = (&*heading.model, &*self.pledge.request_id, &*self.pledge.nonce);
            let digests = (ids_sha256(&self.ids), logprobs_sha256(&choices));
            let commitment = Commitment::new(&provenance, about, digests);
            // It makes JSON always; without it the answer is one without a commitment.
            let digest = commitment.digest().ok()?;
            provenance.sig = Some(key.sign(commit::DOMAIN, digest.as_bytes()));
            provenance.commit = Some(digest);
            let revealed = Revealed { commitment, choices };
            self.pledge.trust.kept.put(revealed, self.pledge.clock.unix_millis());
        }
        Some(provenance)
    }
}
