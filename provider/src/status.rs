//! What an operator wants to know of a running provider: `GET /status`, and what
//! `provider status` prints. Types alone; who fills them in is elsewhere.

use openapi::node::control::{Load, Report};
use openapi::node::{Price, Selling, Standing};
use openapi::sign::PublicKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ProviderStatus)]
pub struct Status {
    /// Name and version of the program.
    pub software: String,
    /// Unix milliseconds.
    pub now_ms: i64,
    /// New requests are refused, running ones finish.
    pub draining: bool,
    pub load: Load,
    pub work: Work,
    /// Ids of the models served.
    pub models: Vec<String>,
    /// Absent where no gateway is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<Member>,
}

/// Since the start of the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Work {
    pub jobs_started: u64,
    pub jobs_finished: u64,
    pub jobs_cancelled: u64,
    pub tokens_generated: u64,
}

/// Who this node is in the market.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    pub node: PublicKey,
    pub operator: PublicKey,
    pub offer: OfferNow,
    pub gateways: Vec<Gateway>,
}

/// The newest offer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OfferNow {
    pub sequence: u64,
    /// Unix milliseconds.
    pub valid_until_ms: i64,
    pub prices: Vec<Price>,
}

/// How it stands with one gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = GatewayLink)]
pub struct Gateway {
    pub url: String,
    pub phase: Phase,
    /// Why it is not connected, or what was wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Times it was joined since the start.
    pub joined: u64,
    /// Requests that came over the tunnel since the start.
    pub requests: u64,
    /// Of the lease that is held now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// On the way there.
    #[default]
    Connecting,
    Connected,
    /// Until it is tried again.
    Waiting,
    /// The gateway said not to come back.
    Stopped,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = HeldLease)]
pub struct Lease {
    pub id: String,
    pub gateway: PublicKey,
    /// What the node is called there.
    pub provider: String,
    pub standing: Standing,
    pub selling: Vec<Selling>,
    /// Unix milliseconds.
    pub since_ms: i64,
    /// Unix milliseconds; absent before the first heartbeat was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewed_ms: Option<i64>,
    /// It ends so long after the last heartbeat.
    pub lease_ms: u64,
    /// Number of the offer that is in force there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer: Option<u64>,
    /// Why the newest offer is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer_refused: Option<String>,
    /// What the gateway measured and counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
}
