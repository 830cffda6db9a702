//! An honest answer and its score, made up, for the tests of this module.

use openapi::chat::FinishReason;
use openapi::commit::{Claim, Commitment, DOMAIN, ids_sha256, logprobs_sha256, thousandths};
use openapi::evidence::Provenance;
use openapi::gumbel;
use openapi::sign::{PublicKey, SecretKey};
use openapi::usage::Usage;
use openapi::verify::{Score, Scored};
use std::sync::LazyLock;

use super::binding::Promised;
use super::{Answer, Order};

pub(super) static SECRET: LazyLock<SecretKey> = LazyLock::new(|| SecretKey::from_seed(&[7; 32]));
pub(super) static KEY: LazyLock<PublicKey> = LazyLock::new(|| SECRET.public());

pub(super) fn promised() -> Promised<'static> {
    Promised {
        key: &KEY,
        weights_id: "b3:ab",
        quant: Some("f32"),
        kv_dtype: Some("f32"),
        seed: Some(9),
        canonical: true,
        model: "m",
        request_id: "r",
        nonce: "n",
    }
}

pub(super) fn provenance(tokens: u64) -> Provenance {
    Provenance {
        weights_id: "b3:ab".to_owned(),
        quant: "f32".to_owned(),
        kv_dtype: "f32".to_owned(),
        engine: "e/1".to_owned(),
        template_sha256: "t".to_owned(),
        sampler: gumbel::NAME.to_owned(),
        seed: 9,
        prompt_ids_sha256: "p".to_owned(),
        resumed: 0,
        usage: Usage::new(10, tokens),
        commit: None,
        sig: None,
    }
}

pub(super) fn committed(
    mut provenance: Provenance,
    ids: &[Vec<u32>],
    claims: &[Vec<Claim>],
) -> Provenance {
    let hashes = (ids_sha256(ids), logprobs_sha256(claims));
    let digest = Commitment::new(&provenance, ("m", "r", "n"), hashes).digest().unwrap();
    provenance.sig = Some(SECRET.sign(DOMAIN, digest.as_bytes()));
    provenance.commit = Some(digest);
    provenance
}

pub(super) fn order(ids: &[u32]) -> Order<'_> {
    Order { nonce: "n", weights_id: "b3:ab", ids, positions: None }
}

/// Every token is the likeliest but one, and the one that was to be drawn; the last ends the answer.
pub(super) fn scored(ids: &[u32]) -> Scored {
    let score = |(i, id): (u32, &u32)| Score {
        i,
        id: *id,
        lp: -1.0,
        rank: 1,
        margin: Some(0.0),
        eos_lp: -9.0,
        eos_rank: 40,
        above: 0.5,
        own: 0.4,
        top: vec![(1, -0.7), (*id, -1.0)],
    };
    let mut scores: Vec<Score> = (0..).zip(ids).map(score).collect();
    if let Some(last) = scores.last_mut() {
        (last.eos_lp, last.eos_rank) = (last.lp, last.rank);
    }
    Scored {
        nonce: "n".to_owned(),
        weights_id: "b3:ab".to_owned(),
        quant: "f32".to_owned(),
        kv_dtype: "f32".to_owned(),
        engine: "e/1".to_owned(),
        template_sha256: "t".to_owned(),
        prompt_ids_sha256: "p".to_owned(),
        prompt_tokens: 10,
        text_sha256: "text".to_owned(),
        finish_reason: Some(FinishReason::Stop),
        max_tokens: 500,
        constrained: false,
        sampler: gumbel::NAME.to_owned(),
        scores,
    }
}

/// An answer, and what its scorer says of it.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) provenance: Provenance,
    pub(super) ids: Vec<Vec<u32>>,
    pub(super) claims: Vec<Vec<Claim>>,
    pub(super) temperature: f64,
    pub(super) finish_reason: FinishReason,
    pub(super) text_sha256: String,
    pub(super) scored: Scored,
}

impl Case {
    pub(super) fn honest(tokens: u32) -> Self {
        let ids: Vec<u32> = (100..100 + tokens).collect();
        let claims = vec![Claim { lp: thousandths(-1.0), top: vec![] }; ids.len()];
        Self {
            provenance: provenance(tokens.into()),
            scored: scored(&ids),
            ids: vec![ids],
            claims: vec![claims],
            temperature: 1.0,
            finish_reason: FinishReason::Stop,
            text_sha256: "text".to_owned(),
        }
    }

    pub(super) fn answer(&self) -> Answer<'_> {
        Answer {
            provenance: &self.provenance,
            ids: &self.ids,
            claims: &self.claims,
            choice: 0,
            text_sha256: &self.text_sha256,
            finish_reason: self.finish_reason,
            temperature: self.temperature,
        }
    }

    pub(super) fn order(&self) -> Order<'_> {
        order(&self.ids[0])
    }
}
