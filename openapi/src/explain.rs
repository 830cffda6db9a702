//! What the gateway adds to an answer: how its provider was chosen, for who asks with
//! `x-quorate-explain: 1`, and what became of its verification.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::verification::Verification;

/// By headers, for programs that cannot add members to a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct Options {
    /// `1`: the answer, or the error, has a member `quorate` (schema `Quorate`) that says how its provider
    /// was chosen; a stream has it in a chunk of its own before `[DONE]`,
    /// that of a response in the response of its last event.
    #[param(rename = "x-quorate-explain", required = false, inline)]
    pub explain: Asked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Asked {
    #[serde(rename = "0")]
    No,
    #[serde(rename = "1")]
    Yes,
}

/// In whole answers, and in a chunk of its own before the end of a stream, as the member `quorate`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Quorate {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explain>,
    /// Of requests with `verification.mode` `quorum` or `verify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explain {
    /// Providers that were looked at, in their order; the first 32.
    pub candidates: Vec<Candidate>,
    /// What was asked of providers, in its order.
    pub attempts: Vec<Attempt>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    pub provider: String,
    pub operator: String,
    /// The model it was looked at for.
    pub model: String,
    pub cost_usd: Cost,
    /// Seconds to the first token that were expected, with the load.
    pub first_token_s: f64,
    /// Tokens a second that were expected after it.
    pub tokens_per_second: f64,
    /// Load with this request, as a share of what it bears.
    pub utilization: f64,
    /// Probability of failure.
    pub failure: f64,
    /// Lower goes first, whatever the cost: what the request prefers.
    pub rank: u32,
    /// Why it could not be taken: `ejected`, `paused`, `loaded` or `quarantined`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out: Option<String>,
}

/// Expected, in dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Cost {
    pub total: f64,
    /// What is charged.
    pub money: f64,
    /// Of the wait for the first token.
    pub first_token: f64,
    /// Of the wait for the rest.
    pub decode: f64,
    pub failure: f64,
    pub dishonesty: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    pub provider: String,
    pub model: String,
    /// `first`, `retry`, `hedge`, `probe` or `resume`.
    pub why: String,
    /// Milliseconds since the request came to be routed.
    pub began_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
    /// `won`, `lost`, or what failed; absent: it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}
