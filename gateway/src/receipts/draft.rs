//! What is known of an answer when it is over, and how it becomes the claims of a receipt. Words of
//! providers are hostile here: what is too long or too large for a receipt is left out.

use openapi::receipt::{
    Attempt, Audit, Claims, Hashed, Opening, Origin, Outcome, Provider, Tokens, VERSION,
    Verification, Verified, salted,
};
use uuid::Uuid;

use super::hash::Digested;
use super::show_id;
use crate::store::Owner;

/// Of any one text that a provider tells.
const TEXT_BYTES_MAX: usize = 256;
/// The largest number that every reader of JSON reads exactly.
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// A receipt to be. All of it is the caller's to fill.
#[derive(Debug, Clone)]
pub struct Draft {
    pub id: Uuid,
    pub owner: Owner,
    /// Whether anybody's key was asked for.
    pub is_keyed: bool,
    pub salt: [u8; 32],
    /// Unix seconds; when the request came.
    pub created: i64,
    pub request_id: String,
    /// What was called: `/v1/chat/completions`.
    pub path: String,
    /// The request's body as it came.
    pub request: Digested,
    /// The answer's body as it went out.
    pub response: Digested,
    pub known: Known,
}

/// What is found out while an answer is made.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub model: String,
    pub answer_id: Option<String>,
    pub outcome: Outcome,
    pub is_cached: bool,
    pub provider: Option<Provider>,
    pub provenance: Option<Origin>,
    /// The occasion that the provider's commitment names.
    pub nonce: Option<String>,
    pub usage: Option<Tokens>,
    pub attempts: Vec<Attempt>,
    /// Billionths of a dollar.
    pub price_nanousd: Option<u64>,
    pub verification: Verification,
    pub verified: Verified,
    pub audits: Vec<Audit>,
}

/// What becomes known of an answer that has a receipt. What is `None` stays as it was.
#[derive(Debug, Clone, Default)]
pub struct Amendment {
    pub verified: Option<Verified>,
    pub verification: Option<Verification>,
    pub price_nanousd: Option<u64>,
    /// Those that there are already stay, and these come after them.
    pub audits: Vec<Audit>,
}

// === impl Draft ===

impl Draft {
    /// Of a request, with nothing known of its answer.
    pub fn new(id: Uuid, owner: Owner, salt: [u8; 32], request: Digested) -> Self {
        Self {
            id,
            owner,
            is_keyed: false,
            salt,
            created: 0,
            request_id: String::new(),
            path: String::new(),
            request,
            response: Digested::default(),
            known: Known::default(),
        }
    }

    pub fn claims(&self) -> Claims {
        let Known { provider, usage, price_nanousd, .. } = &self.known;
        let known = &self.known;
        Claims {
            version: VERSION,
            id: show_id(self.id),
            revision: 0,
            amends: None,
            request_id: self.request_id.clone(),
            answer_id: known.answer_id.clone().filter(|id| is_short(id)),
            created: self.created,
            path: self.path.clone(),
            model: known.model.clone(),
            key: self.is_keyed.then(|| salted(&self.salt, &self.owner)),
            request: self.hashed(self.request),
            response: self.hashed(self.response),
            outcome: known.outcome,
            cached: known.is_cached,
            provider: provider.clone(),
            provenance: self.provenance(),
            usage: usage.map(|usage| Tokens {
                prompt: usage.prompt.min(INTEGER_MAX),
                completion: usage.completion.min(INTEGER_MAX),
            }),
            attempts: known.attempts.clone(),
            price_nanousd: price_nanousd.map(|price| price.min(INTEGER_MAX)),
            verification: known.verification.clone(),
            verified: known.verified,
            audits: known.audits.clone(),
        }
    }

    /// The owner's part.
    pub fn opening(&self) -> Opening {
        Opening {
            salt: hex::encode(self.salt),
            request_sha256: hex::encode(self.request.sha256),
            response_sha256: hex::encode(self.response.sha256),
        }
    }

    fn provenance(&self) -> Option<Origin> {
        let origin = self.known.provenance.clone().filter(is_bearable)?;
        Some(Origin { nonce: self.known.nonce.clone(), ..origin })
    }

    fn hashed(&self, digested: Digested) -> Hashed {
        Hashed { bytes: digested.bytes, salted_sha256: salted(&self.salt, &digested.sha256) }
    }
}

fn is_short(text: &str) -> bool {
    text.len() <= TEXT_BYTES_MAX
}

fn is_bearable(origin: &Origin) -> bool {
    let texts = [
        &origin.weights_id,
        &origin.quant,
        &origin.kv_dtype,
        &origin.engine,
        &origin.template_sha256,
        &origin.sampler,
        &origin.seed,
        &origin.prompt_ids_sha256,
    ];
    texts.into_iter().chain(&origin.commit).all(|text| is_short(text))
        && origin.resumed <= INTEGER_MAX
}

// === impl Amendment ===

impl Amendment {
    /// The claims with what became known. `leaf`: the hash of the claims until now.
    pub(super) fn apply(&self, claims: &mut Claims, leaf: String) {
        claims.revision = claims.revision.saturating_add(1);
        claims.amends = Some(leaf);
        if let Some(verified) = self.verified {
            claims.verified = verified;
        }
        if let Some(verification) = &self.verification {
            claims.verification = verification.clone();
        }
        claims.price_nanousd = self.price_nanousd.or(claims.price_nanousd);
        claims.audits.extend(self.audits.iter().cloned());
    }
}
