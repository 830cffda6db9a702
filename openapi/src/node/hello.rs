//! What a node says of itself when it joins.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::offer::Offer;
use crate::sign::{PublicKey, Signed, Statement};

/// Bound to one gateway (`gateway`), one connection (`exporter`), one moment (`time_ms`, ± 60 s) and
/// one use (`nonce`): it can be neither replayed nor relayed. Signed by `node`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Hello {
    /// 1.
    pub protocol: u32,
    pub node: PublicKey,
    /// The operator's word that this node is its own, signed by the operator.
    pub delegation: Signed<Delegation>,
    /// The gateway this is for.
    pub gateway: PublicKey,
    /// Exporter value of the TLS connection, hex.
    pub exporter: String,
    /// From the challenge.
    pub nonce: String,
    /// Unix milliseconds of the node's clock.
    pub time_ms: i64,
    pub link: Link,
    pub hardware: Hardware,
    /// At most 64.
    pub models: Vec<Served>,
    /// As the node claims: `eu-west`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Signed by the node.
    pub offer: Signed<Offer>,
    pub capacity: Capacity,
    /// Unix milliseconds at which rented capacity ends; no new request is sent shortly before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_expires_at_ms: Option<i64>,
    /// Name and version of the node's program.
    pub software: String,
}

impl Statement for Hello {
    const DOMAIN: &'static str = "quorate/hello/v1";
}

/// `operator` owns `node`. Signed by the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Delegation {
    pub operator: PublicKey,
    pub node: PublicKey,
    /// Unix milliseconds.
    pub issued_at_ms: i64,
}

impl Statement for Delegation {
    const DOMAIN: &'static str = "quorate/delegation/v1";
}

/// How requests reach the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Link {
    /// Over the connection that the node opened.
    Tunnel,
    /// At a URL of the node's, whose certificate carries the node's key.
    Direct { url: String },
}

/// What the node runs on, as it says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hardware {
    /// `x86_64 linux`.
    pub platform: String,
    pub cpu: String,
    pub cores: u32,
    pub memory_bytes: u64,
    /// Each card's name: `NVIDIA H200`.
    pub gpus: Vec<String>,
    /// Of all cards together.
    pub gpu_memory_bytes: u64,
    /// What the engine computes on: `cpu`, `cuda`, `metal`, or `upstream` for a server behind it.
    pub backend: String,
}

/// A model the node serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Served {
    /// What the node calls it.
    pub id: String,
    /// `b3:…`, computed at load; absent for a foreign server's model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_dtype: Option<String>,
    /// Name and version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// Of the chat template, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_sha256: Option<String>,
    /// Tokens, prompt and answer together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u64>,
    pub features: Vec<Feature>,
}

/// What a model can be asked for. One that is not known here is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    Chat,
    Completions,
    Embeddings,
    Tools,
    JsonSchema,
    Logprobs,
    Vision,
    /// Token ids and provenance in comments.
    Evidence,
    /// Goes on with an answer that another node began, token for token ([`crate::resume`]).
    Resume,
    /// Scores what others wrote with the same weights ([`crate::verify`]).
    Score,
    #[serde(other)]
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Capacity {
    /// Requests that run at once.
    pub running_max: u32,
    /// Requests that may wait besides.
    pub queued_max: u32,
}
