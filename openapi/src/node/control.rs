//! Messages of the control exchange: the body of the gateway's `POST /node/v1/control` carries
//! [`ToNode`], the body of its answer [`ToGateway`]; each one JSON object on a line of its own, at
//! most [`super::MESSAGE_BYTES_MAX`] bytes long. A kind of message that is not known is skipped.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Offer, Standing};
use crate::sign::Signed;

/// What a node says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ToGateway {
    /// Renews the lease.
    Heartbeat {
        /// Counts up from 1.
        sequence: u64,
        load: Load,
    },
    /// New prices.
    Offer { offer: Signed<Offer> },
    /// Answers a ping at once.
    Pong { sequence: u64 },
    /// Ends soon: nothing new, please. What runs is finished within `within_ms`.
    Drain { within_ms: u64 },
    /// When rented capacity ends, Unix milliseconds; the largest number: never. Told when it changes.
    LeaseExpires { at_ms: i64 },
    #[serde(other)]
    Unknown,
}

/// What a gateway says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ToNode {
    /// The lease goes on; answers the heartbeat of that sequence.
    Renewed { sequence: u64 },
    /// To be answered at once: measures the way.
    Ping { sequence: u64 },
    /// New prices are in force (`reason` absent) or not (why not).
    OfferSeen {
        sequence: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// How the node stands, told when it changes and now and then.
    Report { report: Report },
    /// The lease ends now; `retry` says whether to come back.
    Bye { reason: String, retry: bool },
    #[serde(other)]
    Unknown,
}

/// How busy a node is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Load {
    /// Requests that run.
    pub running: u32,
    /// Requests that wait.
    pub queued: u32,
    /// Share of the KV cache in use, 0 to 1; absent where the engine does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_used: Option<f32>,
}

/// What a gateway thinks of a node, for `provider status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    pub standing: Standing,
    /// Requests sent to the node since it joined, and of them those that failed.
    pub requests: u64,
    pub failures: u64,
    /// Tokens delivered, as counted by the gateway.
    pub tokens: u64,
    /// Measured by the gateway, tokens a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefill_tps: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decode_tps: Option<f64>,
    /// The shortest way there and back that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// Why it stands there, where that needs saying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

// === impl Load ===

impl Load {
    /// As the value of [`super::LOAD_HEADER`]: `running=3,queued=0,kv=0.41`.
    pub fn to_header(&self) -> String {
        let kv = self.kv_used.map(|kv| format!(",kv={kv:.2}")).unwrap_or_default();
        format!("running={},queued={}{kv}", self.running, self.queued)
    }

    /// Reads such a value; `None` where it is none.
    pub fn from_header(text: &str) -> Option<Self> {
        let mut load = Self::default();
        for part in text.split(',') {
            match part.trim().split_once('=')? {
                ("running", value) => load.running = value.parse().ok()?,
                ("queued", value) => load.queued = value.parse().ok()?,
                ("kv", value) => {
                    let used: f32 = value.parse().ok()?;
                    load.kv_used = Some(used).filter(|used| (0.0..=1.0).contains(used));
                }
                _ => {}
            }
        }
        Some(load)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_survives_its_header() {
        let load = Load { running: 3, queued: 1, kv_used: Some(0.25) };
        assert_eq!(Load::from_header(&load.to_header()), Some(load));
        let none = Load { running: 0, queued: 0, kv_used: None };
        assert_eq!(Load::from_header(&none.to_header()), Some(none));
        for bad in ["", "running", "running=-1", "running=1,kv=x"] {
            assert_eq!(Load::from_header(bad), None, "{bad}");
        }
        assert_eq!(Load::from_header("running=1,kv=9").unwrap().kv_used, None);
    }

    #[test]
    fn messages_that_are_not_known_are_skipped() {
        let message: ToNode = serde_json::from_str(r#"{"kind":"dance","x":1}"#).unwrap();
        assert_eq!(message, ToNode::Unknown);
        let message: ToGateway = serde_json::from_str(
            r#"{"kind":"heartbeat","sequence":4,"load":{"running":1,"queued":0},"more":1}"#,
        )
        .unwrap();
        assert!(matches!(message, ToGateway::Heartbeat { sequence: 4, .. }));
    }
}
