//! Whether an answer's provenance holds: signed by the node that answered, for this occasion, with the seed
//! that was asked for, over the ids that came, and over the log-probabilities that it shows now. All of
//! it is checked here, without anybody's model; what does not hold is the node's fault.

use openapi::commit::{self, Claim, Commitment};
use openapi::evidence::Provenance;
use openapi::sign::PublicKey;
use openapi::verify::Revealed;

/// What was seen of the answer, and asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) node: &'a PublicKey,
    /// The node's own name for it, and the weights it said it has.
    pub(super) model: &'a str,
    pub(super) weights_id: &'a str,
    pub(super) request_id: &'a str,
    pub(super) nonce: &'a str,
    /// The client's, or the gateway's.
    pub(super) seed: Option<u64>,
    /// Of each choice.
    pub(super) ids: &'a [Vec<u32>],
}

/// What a node got wrong about its own answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("no provenance")]
    NoProvenance,
    #[error("no commitment")]
    NoCommitment,
    #[error("the commitment is not signed by the node")]
    Signature,
    #[error("other weights than it offers")]
    Weights,
    #[error("another seed than it was given")]
    Seed,
    #[error("it counts other tokens than it told the ids of")]
    Count,
    #[error("it shows something else than it committed itself to")]
    Commitment,
    #[error("it claims no log-probability for each token")]
    Claims,
}

/// The provenance, its commitment signed; before anything is shown.
pub(super) fn sealed<'a>(
    seen: &Seen<'_>,
    provenance: Option<&'a Provenance>,
) -> Result<&'a Provenance, Fault> {
    let provenance = provenance.ok_or(Fault::NoProvenance)?;
    let commit = provenance.commit.as_deref().ok_or(Fault::NoCommitment)?;
    let signature = provenance.sig.as_ref().ok_or(Fault::NoCommitment)?;
    let is_signed = seen.node.verify(commit::DOMAIN, commit.as_bytes(), signature).is_ok();
    if !is_signed {
        return Err(Fault::Signature);
    }
    if provenance.weights_id != seen.weights_id {
        return Err(Fault::Weights);
    }
    if seen.seed.is_some_and(|seed| seed != provenance.seed) {
        return Err(Fault::Seed);
    }
    let told: usize = seen.ids.iter().map(Vec::len).sum();
    if provenance.usage.completion_tokens != told as u64 {
        return Err(Fault::Count);
    }
    Ok(provenance)
}

/// The claims of each choice, as they were committed to.
pub(super) fn opened<'a>(
    seen: &Seen<'_>,
    provenance: &Provenance,
    revealed: &'a Revealed,
) -> Result<&'a [Vec<Claim>], Fault> {
    let digests = (commit::ids_sha256(seen.ids), commit::logprobs_sha256(&revealed.choices));
    let names = (seen.model, seen.request_id, seen.nonce);
    let expected = Commitment::new(provenance, names, digests);
    let digest = expected.digest().map_err(|_| Fault::Commitment)?;
    if expected != revealed.commitment || provenance.commit.as_deref() != Some(&*digest) {
        return Err(Fault::Commitment);
    }
    let resumed = usize::try_from(provenance.resumed).unwrap_or(usize::MAX);
    let is_whole = revealed.choices.len() == seen.ids.len()
        && seen.ids.iter().zip(&revealed.choices).enumerate().all(|(choice, (ids, claims))| {
            let elsewhere = if choice == 0 { resumed } else { 0 };
            claims.len() == ids.len().saturating_sub(elsewhere)
        });
    if is_whole { Ok(&revealed.choices) } else { Err(Fault::Claims) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openapi::sign::SecretKey;
    use openapi::usage::Usage;

    const NONCE: &str = "00112233445566778899aabbccddeeff";

    struct Node {
        key: SecretKey,
        public: PublicKey,
        ids: Vec<Vec<u32>>,
        claims: Vec<Vec<Claim>>,
    }

    fn node() -> Node {
        let key = SecretKey::from_seed(&[3; 32]);
        let claim = |lp| Claim { lp, top: vec![(1, lp)] };
        Node {
            public: key.public(),
            key,
            ids: vec![vec![5, 6, 7]],
            claims: vec![vec![claim(-1), claim(-2), claim(-3)]],
        }
    }

    impl Node {
        fn seen(&self) -> Seen<'_> {
            Seen {
                node: &self.public,
                model: "m",
                weights_id: "b3:w",
                request_id: "r",
                nonce: NONCE,
                seed: Some(9),
                ids: &self.ids,
            }
        }

        fn provenance(&self, resumed: u64) -> (Provenance, Revealed) {
            let mut provenance = Provenance {
                weights_id: "b3:w".to_owned(),
                quant: "f32".to_owned(),
                kv_dtype: "f32".to_owned(),
                engine: "e".to_owned(),
                template_sha256: String::new(),
                sampler: "gumbel-v1".to_owned(),
                seed: 9,
                prompt_ids_sha256: "p".to_owned(),
                resumed,
                usage: Usage::new(4, 3),
                commit: None,
                sig: None,
            };
            let digests = (commit::ids_sha256(&self.ids), commit::logprobs_sha256(&self.claims));
            let commitment = Commitment::new(&provenance, ("m", "r", NONCE), digests);
            self.sign(&mut provenance, &commitment);
            (provenance, Revealed { commitment, choices: self.claims.clone() })
        }

        fn sign(&self, provenance: &mut Provenance, commitment: &Commitment) {
            let digest = commitment.digest().unwrap();
            provenance.sig = Some(self.key.sign(commit::DOMAIN, digest.as_bytes()));
            provenance.commit = Some(digest);
        }
    }

    #[test]
    fn what_was_committed_to_is_opened() {
        let node = node();
        let (provenance, revealed) = node.provenance(0);
        let sealed = sealed(&node.seen(), Some(&provenance)).unwrap();
        assert_eq!(opened(&node.seen(), sealed, &revealed), Ok(node.claims.as_slice()));
    }

    #[test]
    fn nothing_signed_and_other_circumstances_are_faults() {
        let node = node();
        let (good, _) = node.provenance(0);
        let sealed = |seen: &Seen<'_>, provenance: &Provenance| {
            super::sealed(seen, Some(provenance)).map(|_| ())
        };
        assert_eq!(super::sealed(&node.seen(), None), Err(Fault::NoProvenance));
        let bare = Provenance { sig: None, ..good.clone() };
        assert_eq!(sealed(&node.seen(), &bare), Err(Fault::NoCommitment));
        let other = Provenance { commit: Some("ab".repeat(32)), ..good.clone() };
        assert_eq!(sealed(&node.seen(), &other), Err(Fault::Signature));
        let seen = Seen { weights_id: "b3:x", ..node.seen() };
        assert_eq!(sealed(&seen, &good), Err(Fault::Weights));
        let seen = Seen { seed: Some(10), ..node.seen() };
        assert_eq!(sealed(&seen, &good), Err(Fault::Seed));
        let ids = [vec![5, 6]];
        let seen = Seen { ids: &ids, ..node.seen() };
        assert_eq!(sealed(&seen, &good), Err(Fault::Count));
    }

    #[test]
    fn an_answer_made_before_or_claims_made_up_later_are_not_what_was_committed_to() {
        let node = node();
        let (provenance, revealed) = node.provenance(0);
        let opened = |seen: &Seen<'_>, revealed: &Revealed| {
            super::opened(seen, &provenance, revealed).map(|_| ())
        };
        let seen = Seen { nonce: "ffeeddccbbaa99887766554433221100", ..node.seen() };
        assert_eq!(opened(&seen, &revealed), Err(Fault::Commitment));
        let mut forged = revealed.clone();
        forged.choices[0][1].lp = 0;
        assert_eq!(opened(&node.seen(), &forged), Err(Fault::Commitment));
        let ids = [vec![5, 6, 8]];
        let seen = Seen { ids: &ids, ..node.seen() };
        assert_eq!(opened(&seen, &revealed), Err(Fault::Commitment));
    }

    #[test]
    fn who_went_on_claims_its_own_tokens_alone() {
        let mut node = node();
        node.claims[0].remove(0);
        let (provenance, revealed) = node.provenance(1);
        assert!(opened(&node.seen(), &provenance, &revealed).is_ok());
        let (provenance, revealed) = node.provenance(0);
        assert_eq!(opened(&node.seen(), &provenance, &revealed), Err(Fault::Claims));
    }
}
