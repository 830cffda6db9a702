//! Nodes as operators see them through the admin API: how each stands, what it runs on, what was
//! measured of it, and the evidence. Hashes, figures and reasons; never a prompt and never a token.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::node::control::Load;
use crate::node::{Hardware, Standing};

/// A node that is joined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// Always `node`.
    pub object: String,
    /// Its key: 64 hex digits.
    pub id: String,
    /// What `model@provider` takes.
    pub provider: String,
    pub operator: String,
    /// The operator's key.
    pub operator_id: String,
    pub standing: Standing,
    /// `tunnel` or `direct`.
    pub link: String,
    /// Where its connection comes from: address and port.
    pub remote: String,
    /// Name and version of its program.
    pub software: String,
    pub hardware: Hardware,
    /// As it claims.
    pub region: Option<String>,
    pub region_status: Option<RegionStatus>,
    /// The shortest way there and back that was measured.
    pub rtt_ms: Option<f64>,
    /// Null until it told.
    pub load: Option<Load>,
    /// This gateway's requests that it is working on.
    pub in_flight: u32,
    pub models: Vec<NodeModel>,
    /// Client requests sent there since this gateway first knew it, and how they ended.
    pub requests: u64,
    pub answers: u64,
    pub failures: u64,
    /// Tokens delivered, as counted here.
    pub tokens: u64,
    /// Unix milliseconds.
    pub joined_at_ms: i64,
    /// Unix milliseconds at which its lease ends unless it is renewed.
    pub lease_expires_at_ms: i64,
    /// Unix milliseconds at which rented capacity ends.
    pub rented_until_ms: Option<i64>,
    /// Unix milliseconds until which its prices hold.
    pub offer_valid_until_ms: i64,
}

/// What is known of a node, joined or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NodeDetail {
    /// Always `node.detail`.
    pub object: String,
    /// Its key: 64 hex digits.
    pub id: String,
    pub standing: Standing,
    /// Why it was sent away, if it was.
    pub ejected: Option<String>,
    /// A region that it claimed and that was refuted.
    pub refuted_region: Option<String>,
    /// Null while it is not joined.
    pub node: Option<Node>,
    /// The latest records, the newest last.
    pub evidence: Vec<EvidenceRecord>,
}

/// A model that a node serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NodeModel {
    /// What the node calls it.
    pub id: String,
    /// What clients ask for; null where it is not sold.
    pub name: Option<String>,
    /// Whether its weights are listed under that name.
    pub verified: bool,
    pub weights_id: Option<String>,
    pub measured: Option<Measured>,
    /// Null where it is not sold.
    #[serde(default)]
    pub learned: Option<Learned>,
    /// Null where it is not sold.
    #[serde(default)]
    pub integrity: Option<Integrity>,
}

/// What audits have shown of a model on a node.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Integrity {
    /// It is at least so honest, with 95 %; 0 to 1.
    pub lower: f64,
    /// Share of its answers that are checked; all of a newcomer's first ones.
    pub audited_share: f64,
    /// Whole answers, audits that it passed, and confirmed ones that it failed.
    pub answers: u64,
    pub passes: u64,
    pub fails: u64,
    /// Cumulative sum of the fails' weight; at 9.2 the node is sent away.
    pub cusum: f64,
}

/// What this gateway learned of a model on a node by the requests that it sent there, and what it expects
/// of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Learned {
    /// Seconds to the first token of a prompt of 1,000 tokens, without a queue.
    pub first_token_s: f64,
    /// Tokens a second after the first.
    pub tokens_per_second: f64,
    /// Requests at once that it is believed to bear.
    pub concurrency: f64,
    /// Requests under way: this gateway's, or all that the node told of just now, whichever is more.
    pub in_flight: u32,
    /// Probability that a request fails, by those of the last minutes.
    pub failure: f64,
    /// Probability that an answer is honest.
    pub honesty: f64,
    pub breaker: Breaker,
    /// Milliseconds that it is left alone yet; null unless the breaker is open.
    pub breaker_open_ms: Option<u64>,
    /// Milliseconds for which it asked not to be asked; null where it did not.
    pub paused_ms: Option<u64>,
    /// Milliseconds since it was last asked; null: never.
    pub unused_ms: Option<u64>,
}

/// Whether requests go to a provider that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Breaker {
    /// It is asked.
    Closed,
    /// It is left alone.
    Open,
    /// It is due to be tried, beside a request that another answers.
    ProbeDue,
    /// Its audits speak against it: it is asked nothing until an operator readmits it.
    Quarantined,
}

/// What this gateway measured of a model on a node. What is null could not be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Measured {
    /// Prompt tokens a second; of an embedding model, tokens of a batch a second.
    pub prefill_tps: Option<f64>,
    /// Answer tokens a second, of one request alone.
    pub decode_tps: Option<f64>,
    /// From request to first content of a short prompt.
    pub ttft_ms: Option<f64>,
    /// Whether it stops working on an answer that nobody waits for any more. Of an honest node this is how
    /// little a cancelled attempt costs.
    #[serde(default)]
    pub cancels: Option<bool>,
    /// Unix milliseconds.
    pub at_ms: i64,
}

/// What a gateway can say of where a node claims to be. It never confirms a claim by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RegionStatus {
    /// Nothing speaks against it.
    Unconfirmed,
    /// The way there and back is too short or too long for it.
    Refuted,
    /// It can't be judged.
    Unknown,
}

/// Something that happened to a node, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EvidenceRecord {
    /// Unix milliseconds.
    pub at_ms: i64,
    pub kind: EvidenceKind,
    pub verdict: EvidenceVerdict,
    /// In words, where there is more to say.
    pub note: Option<String>,
    /// Of a speed: which model.
    pub model: Option<String>,
    /// Of a speed.
    pub measured: Option<Measured>,
    /// Of a region: the shortest way there and back, and out of how many.
    pub rtt_ms: Option<f64>,
    pub samples: Option<u32>,
    /// Of what the node signed: SHA-256 of the statement, hex.
    pub statement_sha256: Option<String>,
    /// Of what the node signed: its signature, hex.
    pub signature: Option<String>,
    /// Of an audit.
    pub audit: Option<Audited>,
}

/// What the audit of one answer showed. Statistics and signatures: neither prompt nor answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Audited {
    /// SHA-256 of the gateway's name for the request: whoever has the request can find it here.
    pub request_sha256: String,
    pub weights_id: String,
    /// What the node committed itself to with the answer, and its signature over it; absent where it did
    /// not.
    pub commit: Option<String>,
    pub sig: Option<String>,
    /// Thresholds it was judged by.
    pub profile: Option<String>,
    /// Why it failed, or why there is no verdict.
    pub reasons: Vec<String>,
    /// What those say who scored the answer.
    pub scores: Vec<ScoreRecord>,
}

/// One scorer's word on an answer, in numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScoreRecord {
    /// The scorer's public key.
    pub scorer: String,
    /// SHA-256 of what it said, hex, and its signature over it.
    pub statement_sha256: String,
    pub signature: String,
    /// `pass`, `fail`, `grey` or `malformed`.
    pub verdict: String,
    /// Tokens scored.
    pub tokens: u32,
    /// S1: mean distance of claimed and scored log-probabilities, nats.
    pub distance: Option<f64>,
    /// S3: share of tokens that are the very ones the canonical sampler draws.
    pub drawn_share: Option<f64>,
    /// S3: mean margin.
    pub margin: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// A hello that was taken.
    Join,
    /// A measurement of speed.
    Speed,
    /// A region claimed, against the way there.
    Region,
    /// An offer.
    Offer,
    /// A change of how the node stands.
    Standing,
    /// An answer that was checked.
    Audit,
    /// Another's answer that the node scored, beside what others said of it.
    Score,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceVerdict {
    /// As it should be.
    Ok,
    /// Could not be done, through the node's fault as far as can be known.
    Failed,
    /// The node's claim is wrong.
    Refuted,
    /// Nothing can be said.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NodeList {
    /// Always `list`.
    pub object: String,
    /// Those that are joined, in the order of their keys.
    pub data: Vec<Node>,
    /// Whether there are more after the last.
    pub has_more: bool,
    /// Those that were sent away, on the first page: at most 1,000.
    pub ejected: Vec<EjectedNode>,
}

/// A node that may not come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EjectedNode {
    /// Its key: 64 hex digits.
    pub id: String,
    pub reason: String,
}

/// Why a node is sent away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EjectRequest {
    /// Told to the node and kept; at most 256 bytes.
    #[schema(required)]
    pub reason: Option<String>,
}

/// How a node stands after it was acted upon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeChanged {
    /// Always `node.changed`.
    pub object: String,
    /// Its key: 64 hex digits.
    pub id: String,
    /// Null for a node that is not joined.
    pub provider: Option<String>,
    pub standing: Standing,
}
