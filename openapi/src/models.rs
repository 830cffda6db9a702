//! The model list.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::node::control::Load;
use crate::node::{Feature, Hardware, Standing};
use crate::nodes::{Measured, RegionStatus};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelList {
    /// Always `list`.
    pub object: String,
    pub data: Vec<Model>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Model {
    /// May contain slashes and colons.
    pub id: String,
    /// Always `model`.
    pub object: String,
    /// Unix seconds.
    pub created: i64,
    pub owned_by: String,
    /// Tokens, prompt and answer together; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u64>,
}

/// Who serves a model, and on which terms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelEndpoints {
    pub id: String,
    /// Always `model.endpoints`.
    pub object: String,
    pub data: Vec<ModelEndpoint>,
}

/// One provider's offer of a model. What is null is not known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelEndpoint {
    /// What `model@provider` and `provider.only` take.
    pub provider: String,
    /// Who runs it.
    pub operator: String,
    pub region: Option<String>,
    /// What this gateway can say of the region; null where none is claimed, and for static upstreams.
    pub region_status: Option<RegionStatus>,
    /// As the provider states it.
    pub quantization: Option<String>,
    /// Tokens, prompt and answer together.
    pub context_length: Option<u64>,
    /// Dollars per million prompt tokens.
    pub prompt_usd_per_million: Option<f64>,
    /// Dollars per million answer tokens.
    pub completion_usd_per_million: Option<f64>,
    /// Dollars per million prompt tokens that were in its cache.
    pub cached_usd_per_million: Option<f64>,
    pub status: EndpointStatus,
    /// Expected of a prompt of 1,000 tokens, with the load of this moment.
    pub latency_s: Latency,
    /// After the first, as learned from answers or measured.
    pub tokens_per_second: f64,
    /// Probability that it serves a request, by those of the last minutes.
    pub uptime: f64,
    /// Requests at once that it is believed to bear.
    pub concurrency: f64,
    /// This gateway's requests that it is working on.
    pub in_flight: u32,
    /// Whether its weights are listed under this name.
    pub verified: bool,
    /// `b3:` and the digest of its weights. This and what follows is null for static upstreams.
    pub weights_id: Option<String>,
    /// Name and version.
    pub engine: Option<String>,
    pub features: Option<Vec<Feature>>,
    pub hardware: Option<Hardware>,
    pub standing: Option<Standing>,
    /// As the node told last.
    pub load: Option<Load>,
    /// By this gateway.
    pub measured: Option<Measured>,
    /// Unix milliseconds at which its lease ends unless it is renewed.
    pub lease_expires_at_ms: Option<i64>,
    /// Unix milliseconds at which rented capacity ends.
    pub rented_until_ms: Option<i64>,
}

/// Seconds to the first token; percentiles that too few requests tell of are null.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Latency {
    pub p50: f64,
    pub p90: Option<f64>,
    pub p99: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndpointStatus {
    Ready,
    /// Left alone for a while, after failures or by its own word.
    CoolingDown,
}

impl Model {
    pub fn new(id: impl Into<String>, created: i64, owned_by: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            object: "model".to_owned(),
            created,
            owned_by: owned_by.into(),
            context_length: None,
        }
    }
}

impl ModelList {
    pub fn new(data: Vec<Model>) -> Self {
        Self { object: "list".to_owned(), data }
    }
}
