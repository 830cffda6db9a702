//! An answer that is being checked, and what of it is put to scorers. It lives as long as the check does,
//! for short answers until there are enough to judge together, and in memory alone.

use openapi::chat::FinishReason;
use openapi::commit::Claim;
use openapi::evidence::Provenance;
use openapi::node::Feature;
use openapi::verify::ScoreRequest;
use serde_json::Value;

use crate::audit::binding::Promised;
use crate::audit::{Answer, Order};
use crate::request::Endpoint;
use crate::upstream::{Answered, Job};

/// Opened: what the node committed itself to is known.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) answered: Answered,
    pub(super) provenance: Provenance,
    pub(super) claims: Vec<Vec<Claim>>,
    text_sha256: String,
    finish: FinishReason,
    temperature: f64,
    /// Of the tokens to score; absent: all.
    pub(super) positions: Option<Vec<u32>>,
}

/// The name the node was told for the request.
pub(super) fn request_id(answered: &Answered) -> &str {
    answered.job.request_id.to_str().unwrap_or_default()
}

/// What is drawn of a request is drawn by: its name, which a client may give to all of its requests, and its
/// own random number.
pub(super) fn occasion(job: &Job) -> String {
    format!("{:016x} {}", job.draw, job.request_id.to_str().unwrap_or_default())
}

/// What the node's answer has to be. `None`: it sells no weights that anybody could check.
pub(super) fn promised(answered: &Answered) -> Option<Promised<'_>> {
    let offer = answered.offer.as_ref()?;
    let served = offer.served()?;
    // The client's seed goes before ours; one below nothing is the node's to read.
    let seed = answered.job.summary.seed.or(answered.seed);
    Some(Promised {
        key: &answered.member.node,
        weights_id: served.weights_id.as_deref()?,
        quant: served.quantization.as_deref(),
        kv_dtype: served.kv_dtype.as_deref(),
        seed: seed.and_then(|seed| u64::try_from(seed).ok()),
        canonical: served.features.contains(&Feature::Resume),
        model: &offer.upstream_model,
        request_id: request_id(answered),
        nonce: &answered.nonce,
    })
}

// === impl Case ===

impl Case {
    /// # Errors
    /// Nothing of it can be compared: it is given back.
    pub(super) fn new(
        answered: Answered,
        provenance: Provenance,
        claims: Vec<Vec<Claim>>,
        positions: Option<Vec<u32>>,
    ) -> Result<Self, Box<Answered>> {
        let checkable = &answered.checkable;
        let (Some(text_sha256), Some(finish)) = (checkable.text_sha256.clone(), checkable.finish)
        else {
            return Err(Box::new(answered));
        };
        let temperature = temperature(&answered);
        Ok(Self { text_sha256, finish, temperature, provenance, claims, positions, answered })
    }

    pub(super) fn answer(&self) -> Answer<'_> {
        Answer {
            provenance: &self.provenance,
            ids: &self.answered.progress.ids,
            claims: &self.claims,
            choice: self.answered.checkable.choice as usize,
            text_sha256: &self.text_sha256,
            finish_reason: self.finish,
            temperature: self.temperature,
        }
    }

    pub(super) fn ids(&self) -> &[u32] {
        let choice = self.answered.checkable.choice as usize;
        self.answered.progress.ids.get(choice).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn order<'a>(&'a self, nonce: &'a str, ids: &'a [u32]) -> Order<'a> {
        Order {
            nonce,
            weights_id: &self.provenance.weights_id,
            ids,
            positions: self.positions.as_deref(),
        }
    }

    /// What a scorer is asked that calls the model `model`. The claims are not in it.
    pub(super) fn question(
        &self,
        model: &str,
        nonce: &str,
        ids: &[u32],
    ) -> Result<ScoreRequest, serde_json::Error> {
        Ok(ScoreRequest {
            weights_id: self.provenance.weights_id.clone(),
            path: path(self.answered.job.endpoint).to_owned(),
            request: self.answered.request_for(model, self.provenance.seed)?,
            choice: self.answered.checkable.choice,
            completion_token_ids: ids.to_vec(),
            positions: self.positions.clone(),
            // What is uniform is looked at by how sure the model was.
            top_k: 1,
            nonce: nonce.to_owned(),
        })
    }
}

fn path(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Completions => "/v1/completions",
        Endpoint::ChatCompletions | Endpoint::Embeddings => "/v1/chat/completions",
    }
}

/// Of the request; OpenAI's default where it says nothing.
fn temperature(answered: &Answered) -> f64 {
    let request: Option<Value> = serde_json::from_slice(&answered.job.body).ok();
    let told = request.and_then(|request| request.get("temperature")?.as_f64());
    told.unwrap_or(1.0)
}
