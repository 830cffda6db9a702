//! A signed price list.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::sign::{PublicKey, Statement};

/// Signed by the node. A later one (higher `sequence`) takes the place of an earlier one at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Offer {
    pub node: PublicKey,
    /// Only ever goes up, also over restarts of the node.
    pub sequence: u64,
    /// Unix milliseconds.
    pub issued_at_ms: i64,
    /// Unix milliseconds; from then on nothing is sold under it.
    pub valid_until_ms: i64,
    /// One for each model, by the node's own name for it.
    pub prices: Vec<Price>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sla: Option<Sla>,
}

impl Statement for Offer {
    const DOMAIN: &'static str = "quorate/offer/v1";
}

/// In pico-dollars (1e-12 USD) per token: 50,000 is 0.05 USD per million tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Price {
    pub model: String,
    pub prompt_pusd: u64,
    /// For prompt tokens that were in the node's cache; absent: as `prompt_pusd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_pusd: Option<u64>,
    pub completion_pusd: u64,
}

/// What the node promises; measured by the gateway over each epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sla {
    /// 95 % of answers begin within.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_p95_ms: Option<u32>,
    /// Half of the answers are at least so fast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_second_p50: Option<f64>,
    /// Share of requests answered, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability: Option<f64>,
    /// Share of an epoch's pay that is given back where a promise was not kept, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<f64>,
}
