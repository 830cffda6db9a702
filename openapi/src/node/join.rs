//! What the gateway says while a node joins.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::sign::{PublicKey, Signed, Statement};

/// Answer of `GET /node/v1/challenge`. Good for one hello on this connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Challenge {
    /// The oldest and the newest protocol spoken.
    pub protocol_min: u32,
    pub protocol_max: u32,
    pub gateway: PublicKey,
    /// 32 random bytes, hex.
    pub nonce: String,
    /// Unix milliseconds of the gateway's clock, for a node whose own is wrong to say so.
    pub time_ms: i64,
}

/// Answer of `POST /node/v1/join`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Welcome {
    /// Signed by the gateway.
    pub granted: Signed<Granted>,
    /// 256 random bits, hex: a bearer token for this lease, on this connection (tunnel) or from this
    /// gateway's key (direct). Never logged.
    pub token: String,
}

/// The lease. By it the node knows the gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Granted {
    pub gateway: PublicKey,
    pub node: PublicKey,
    /// Exporter value of this connection, hex: the answer can't come from elsewhere.
    pub exporter: String,
    /// SHA-256 of the hello's statement, hex.
    pub hello_sha256: String,
    pub lease_id: String,
    /// The lease ends so long after the last heartbeat.
    pub lease_ms: u64,
    /// How often the gateway wants to hear of the node.
    pub heartbeat_ms: u64,
    pub standing: Standing,
    /// What the node is called here.
    pub provider: String,
    /// Under which names its models are sold.
    pub selling: Vec<Selling>,
}

impl Statement for Granted {
    const DOMAIN: &'static str = "quorate/lease/v1";
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Selling {
    /// The node's own name.
    pub model: String,
    /// What clients ask for.
    pub name: String,
    /// Whether its weights are listed under that name.
    pub verified: bool,
}

/// Where a node is in its life with a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// New: a small share of the traffic.
    Probation,
    Active,
    /// Finishes what it has, gets nothing new.
    Draining,
    /// Sent away.
    Ejected,
    /// Not connected.
    Gone,
}

impl std::fmt::Debug for Welcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Welcome").field("granted", &self.granted).finish_non_exhaustive()
    }
}
