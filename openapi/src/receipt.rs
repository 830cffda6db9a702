//! What a client keeps of an answer: who answered what, with whose word for it, in hashes. The gateway
//! makes receipts in batches and signs the Merkle root of each, so that a receipt cannot be changed
//! afterwards, by nobody, and is checked offline ([`check()`]). It holds no prompt and no answer.
//!
//! What is signed for are the *claims*. A leaf of the tree is their canonical JSON (RFC 8785, see
//! [`canonical`]): members by name, no white space, integers alone. So a receipt may be printed anew by
//! any tool, and a member that a later version adds is covered as well. What a root's signature is over
//! is the canonical JSON of [`Root`], behind its domain and a zero byte.
//!
//! The *opening* is the owner's: with it the hashes in the claims can be compared with the bytes. Who
//! shows a receipt to others may leave it out: a short prompt could be guessed by its bare hash.
//! A salted hash is SHA-256 over the salt and the SHA-256 of the bytes, 32 bytes each.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::evidence::Provenance;
use crate::sign::{PublicKey, Signature};

pub mod canonical;
pub mod check;
pub mod merkle;

pub use check::{Fault, Part, Report, Trial, check, verify};

/// Of the claims' form.
pub const VERSION: u32 = 1;
/// Where a signature over a root counts.
pub const DOMAIN: &str = "quorate/receipts/v1";
pub const OBJECT: &str = "receipt";

/// `GET /v1/receipts/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// `receipt`.
    pub object: String,
    pub claims: Claims,
    /// The owner's: without it the claims are still proved, and request and answer can't be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<Opening>,
    pub proof: Proof,
}

/// What the gateway says of an answer. Hashes are hex, numbers integers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReceiptClaims)]
pub struct Claims {
    /// 1.
    pub version: u32,
    pub id: String,
    /// 0, and one more each time that something became known later.
    pub revision: u32,
    /// Hash of the leaf that these claims take the place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amends: Option<String>,
    pub request_id: String,
    /// What the answer's own `id` was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_id: Option<String>,
    /// Unix seconds; when the request came.
    pub created: i64,
    /// What was called: `/v1/chat/completions`.
    pub path: String,
    /// What answered.
    pub model: String,
    /// Salted hash of the key that asked. Absent: none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The request's body as it came, once inflated.
    pub request: Hashed,
    /// The answer's body as it went out, as far as it did.
    pub response: Hashed,
    pub outcome: Outcome,
    /// The answer is one that was given before.
    pub cached: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// What the provider says of how the answer was made, and its signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Origin>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Tokens>,
    pub attempts: Vec<Attempt>,
    /// Billionths of a dollar. Absent: nothing is charged for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_nanousd: Option<u64>,
    pub verification: Verification,
    pub verified: Verified,
    pub audits: Vec<Audit>,
}

/// Bytes in the place of which a hash stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReceiptHashed)]
pub struct Hashed {
    pub bytes: u64,
    /// SHA-256 over the opening's salt and the SHA-256 of the bytes.
    pub salted_sha256: String,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReceiptOutcome)]
pub enum Outcome {
    Complete,
    /// It broke off, and the client was told so.
    Truncated,
    /// The client left before its end.
    #[default]
    ClientGone,
    /// An error took its place after the status had gone out.
    Failed,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReceiptProvider)]
pub struct Provider {
    pub id: String,
    pub operator: String,
    /// Absent: an upstream of the gateway's configuration, which signs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_key: Option<PublicKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_key: Option<PublicKey>,
}

/// A [`Provenance`] in integers and strings. `commit` is the digest of what the node committed itself to,
/// `sig` its key's signature over that in the domain [`DOMAIN`](crate::commit::DOMAIN) of commitments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReceiptProvenance)]
pub struct Origin {
    pub weights_id: String,
    pub quant: String,
    pub kv_dtype: String,
    pub engine: String,
    pub template_sha256: String,
    pub sampler: String,
    /// In decimal.
    pub seed: String,
    pub prompt_ids_sha256: String,
    /// Tokens drawn elsewhere, of an answer that was gone on with.
    pub resumed: u64,
    /// What the commitment is about, beside what stands here: the gateway's word for the occasion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sig: Option<Signature>,
}

/// As the provider counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReceiptUsage)]
pub struct Tokens {
    pub prompt: u64,
    pub completion: u64,
}

/// One provider that was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReceiptAttempt)]
pub struct Attempt {
    pub provider: String,
    /// `first`, `retry`, `hedge`, `probe` or `resume`.
    pub why: String,
    /// `won`, `lost`, or what failed.
    pub ended: String,
}

/// What was asked for, and what was reached of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReceiptVerification)]
pub struct Verification {
    /// `off`, `audit`, `verify` or `quorum`.
    pub mode: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
    /// Answers that agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreed: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
}

/// How answers agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReceiptAgreement)]
pub enum Class {
    Exact,
    Canonical,
    /// They part where either way was as likely.
    Fork,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReceiptVerified)]
pub enum Verified {
    /// It is being looked into; ask again.
    Pending,
    Pass,
    Fail,
    /// Nobody looked, or nobody could.
    #[default]
    None,
}

/// One check by another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReceiptAudit)]
pub struct Audit {
    pub scorer: String,
    pub scorer_key: PublicKey,
    /// Unix seconds.
    pub at: i64,
    pub verdict: Verified,
    /// Tokens that were scored.
    pub tokens: u64,
    pub statistics: Vec<Statistic>,
    /// SHA-256 of the text that the scorer signed, and its signature (domain `quorate/score/v1`).
    pub statement_sha256: String,
    pub signature: Signature,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReceiptStatistic)]
pub struct Statistic {
    pub name: String,
    /// Millionths.
    pub millionths: i64,
}

/// What makes the claims' hashes comparable; hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReceiptOpening)]
pub struct Opening {
    /// 32 random bytes.
    pub salt: String,
    pub request_sha256: String,
    pub response_sha256: String,
}

/// That the claims are in a batch whose root the gateway signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReceiptProof)]
pub struct Proof {
    /// SHA-256 over a zero byte and the claims' canonical JSON, hex.
    pub leaf: String,
    /// The leaf's place in the batch.
    pub index: u64,
    /// The leaf's siblings on the way up (RFC 6962), hex.
    pub path: Vec<String>,
    pub root: Root,
    /// The gateway's key.
    pub key: PublicKey,
    /// Over `quorate/receipts/v1`, a zero byte, and the canonical JSON of `root`.
    pub signature: Signature,
}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReceiptRoot)]
pub struct Root {
    /// Batches are numbered from 1.
    pub batch: u64,
    pub leaves: u64,
    /// Hex.
    pub sha256: String,
    /// Unix seconds.
    pub signed: i64,
}

/// `GET /v1/receipts/keys`: the keys that receipts were and are signed with, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReceiptKeys)]
pub struct Keys {
    /// `list`.
    pub object: String,
    pub data: Vec<Key>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReceiptKey)]
pub struct Key {
    pub key: PublicKey,
    /// Unix seconds.
    pub created: i64,
    /// Since when another is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<i64>,
}

/// `GET /v1/signature/{id}`, in the form that TEE gateways made customary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SignedText)]
pub struct SignedText {
    /// `MODEL:SHA256(request):SHA256(answer)`, hex.
    pub text: String,
    /// Over the text alone, hex.
    pub signature: Signature,
    /// The public key, hex.
    pub signing_address: PublicKey,
    /// `ed25519`.
    pub signing_algo: String,
}

/// The salted hash of what has this hash.
pub fn salted(salt: &[u8; 32], sha256: &[u8; 32]) -> String {
    hex::encode(Sha256::new().chain_update(salt).chain_update(sha256).finalize())
}

// === impl Root ===

impl Root {
    /// The bytes that are signed.
    ///
    /// # Errors
    /// A number that is too large.
    pub fn message(&self) -> Result<String, canonical::Error> {
        canonical::of(self)
    }
}

// === impl Origin ===

impl From<&Provenance> for Origin {
    fn from(provenance: &Provenance) -> Self {
        Self {
            weights_id: provenance.weights_id.clone(),
            quant: provenance.quant.clone(),
            kv_dtype: provenance.kv_dtype.clone(),
            engine: provenance.engine.clone(),
            template_sha256: provenance.template_sha256.clone(),
            sampler: provenance.sampler.clone(),
            seed: provenance.seed.to_string(),
            prompt_ids_sha256: provenance.prompt_ids_sha256.clone(),
            resumed: provenance.resumed,
            nonce: None,
            commit: provenance.commit.clone(),
            sig: provenance.sig,
        }
    }
}
