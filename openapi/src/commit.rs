//! What a node commits itself to with an answer, before anybody knows whether it will be audited: the
//! digest stands in the provenance, signed; what it is a digest of is shown on audit alone. It
//! computes digests and checks them; it keeps nothing.
//!
//! The digest is SHA-256 over the commitment as canonical JSON (RFC 8785): members in alphabetical
//! order, no white space. Its values are strings and integers below 2^53 (the seed is a string), so
//! serde_json's text of a struct with its members in that order is the canonical one.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::evidence::Provenance;

/// Where a signature over a commitment's digest counts.
pub const DOMAIN: &str = "quorate/answer/v1";
/// Log-probabilities a token has beside its own.
pub const TOP: usize = 20;

/// Everything an answer stands for. Members stand in alphabetical order: see the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Commitment {
    pub completion_tokens: u64,
    pub engine: String,
    /// SHA-256 over the token ids of each choice, see [`ids_sha256`].
    pub ids_sha256: String,
    pub kv_dtype: String,
    /// SHA-256 over the claimed log-probabilities of each choice, see [`logprobs_sha256`].
    pub logprobs_sha256: String,
    /// The node's own name for the model.
    pub model: String,
    /// As the gateway gave it with the request.
    pub nonce: String,
    pub prompt_ids_sha256: String,
    pub prompt_tokens: u64,
    pub quant: String,
    /// As the gateway named it.
    pub request_id: String,
    /// How many tokens of choice 0 were drawn elsewhere: an answer that was gone on with.
    pub resumed: u64,
    pub sampler: String,
    /// In decimal: JSON's numbers end at 2^53.
    pub seed: String,
    pub template_sha256: String,
    pub weights_id: String,
}

/// What a node claims of one token: natural logarithms at T = 1 of the raw logits, before bias,
/// penalties and mask, in thousandths, rounded to the nearest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Claim {
    pub lp: i32,
    /// The likeliest tokens in order, at most [`TOP`]: id and log-probability.
    pub top: Vec<(u32, i32)>,
}

/// A log-probability as it is claimed. What is no number is as unlikely as can be told.
pub fn thousandths(lp: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and NaN is taken before")]
    match lp.is_nan() {
        true => i32::MIN,
        false => (lp * 1e3).round() as i32,
    }
}

/// Hex digest over the ids of all choices: of each the count, then the ids, as little-endian u32.
pub fn ids_sha256(choices: &[Vec<u32>]) -> String {
    let mut hash = Sha256::new();
    for ids in choices {
        count(&mut hash, ids.len());
        ids.iter().for_each(|id| hash.update(id.to_le_bytes()));
    }
    hex::encode(hash.finalize())
}

/// Hex digest over the claims of all choices: of each the count of tokens, then of each token its
/// log-probability, the count of others, and of each of those id and log-probability; 32 bits each,
/// little-endian.
pub fn logprobs_sha256(choices: &[Vec<Claim>]) -> String {
    let mut hash = Sha256::new();
    for claims in choices {
        count(&mut hash, claims.len());
        for claim in claims {
            hash.update(claim.lp.to_le_bytes());
            count(&mut hash, claim.top.len());
            for (id, lp) in &claim.top {
                hash.update(id.to_le_bytes());
                hash.update(lp.to_le_bytes());
            }
        }
    }
    hex::encode(hash.finalize())
}

fn count(hash: &mut Sha256, items: usize) {
    hash.update(u32::try_from(items).unwrap_or(u32::MAX).to_le_bytes());
}

// === impl Commitment ===

impl Commitment {
    /// What a provenance says, with what it is about.
    pub fn new(
        provenance: &Provenance,
        (model, request_id, nonce): (&str, &str, &str),
        (ids_sha256, logprobs_sha256): (String, String),
    ) -> Self {
        Self {
            completion_tokens: provenance.usage.completion_tokens,
            engine: provenance.engine.clone(),
            ids_sha256,
            kv_dtype: provenance.kv_dtype.clone(),
            logprobs_sha256,
            model: model.to_owned(),
            nonce: nonce.to_owned(),
            prompt_ids_sha256: provenance.prompt_ids_sha256.clone(),
            prompt_tokens: provenance.usage.prompt_tokens,
            quant: provenance.quant.clone(),
            request_id: request_id.to_owned(),
            resumed: provenance.resumed,
            sampler: provenance.sampler.clone(),
            seed: provenance.seed.to_string(),
            template_sha256: provenance.template_sha256.clone(),
            weights_id: provenance.weights_id.clone(),
        }
    }

    /// SHA-256 over the canonical JSON; this, as hex digits, is what is signed.
    ///
    /// # Errors
    /// Never in fact: strings and integers make JSON.
    pub fn digest(&self) -> Result<String, serde_json::Error> {
        Ok(hex::encode(Sha256::digest(serde_json::to_string(self)?.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Usage;

    fn provenance() -> Provenance {
        Provenance {
            weights_id: "b3:ab".to_owned(),
            quant: "f32".to_owned(),
            kv_dtype: "f32".to_owned(),
            engine: "e/1".to_owned(),
            template_sha256: "t".to_owned(),
            sampler: "gumbel-v1".to_owned(),
            seed: u64::MAX,
            prompt_ids_sha256: "p".to_owned(),
            resumed: 0,
            usage: Usage::new(3, 2),
            commit: None,
            sig: None,
        }
    }

    #[test]
    fn the_digest_is_of_the_canonical_form() {
        let ids = ids_sha256(&[vec![1, 2]]);
        let claims = logprobs_sha256(&[vec![Claim { lp: -1, top: vec![(1, -1)] }]]);
        let commitment = Commitment::new(&provenance(), ("m", "r", "n"), (ids, claims));
        let text = serde_json::to_string(&commitment).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let names: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert!(names.is_sorted(), "{names:?}");
        assert_eq!(commitment.seed, "18446744073709551615");
        // A vector: whoever writes another node must come to the same digest.
        assert_eq!(
            commitment.digest().unwrap(),
            "a303e0e12e4cf6481901502c255c630e5f8511025eb7263a3cbeefc2820fe625"
        );
    }

    #[test]
    fn where_one_choice_ends_and_the_next_begins_is_part_of_the_digest() {
        assert_ne!(ids_sha256(&[vec![1, 2], vec![3]]), ids_sha256(&[vec![1], vec![2, 3]]));
        assert_ne!(ids_sha256(&[vec![]]), ids_sha256(&[]));
        let claim = |lp| Claim { lp, top: vec![] };
        assert_ne!(
            logprobs_sha256(&[vec![claim(1)], vec![claim(2)]]),
            logprobs_sha256(&[vec![claim(1), claim(2)]])
        );
    }

    #[test]
    fn thousandths_are_rounded_and_bounded() {
        assert_eq!(thousandths(-0.692_6), -693);
        assert_eq!(thousandths(f64::NEG_INFINITY), i32::MIN);
        assert_eq!(thousandths(f64::NAN), i32::MIN);
    }
}
