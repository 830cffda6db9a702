//! For tests and benches: nodes that say what a test wants them to say, and join without a network.

use openapi::node::{Capacity, Delegation, Hardware, Hello, Link, Offer, Price, Served};
use openapi::sign::{PublicKey, SecretKey, Signed};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::{Admission, Market, Membership, Presented, Refusal};
use crate::config::{Limits, Upstream};
use crate::request::Dialect;
use crate::upstream::Endpoint;

/// What all of them show of their connection.
pub const EXPORTER: [u8; 32] = [7; 32];
pub const NONCE: &str = "a challenge";

const HOUR_MS: i64 = 3_600_000;

#[derive(Debug)]
pub struct Node {
    pub key: SecretKey,
    pub operator: SecretKey,
    pub models: Vec<Served>,
    /// Pico-dollars for a prompt token, and for an answer token.
    pub price: (u64, u64),
    pub sequence: u64,
    pub valid_ms: i64,
    pub region: Option<String>,
    pub capacity: Capacity,
    pub lease_expires_at_ms: Option<i64>,
    pub join_token: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Endpoint(#[from] crate::upstream::Invalid),
}

// === impl Node ===

impl Node {
    /// One of many; its operator is its own.
    pub fn new(number: u64, models: Vec<Served>) -> Self {
        Self {
            key: key(number, 1),
            operator: key(number, 2),
            models,
            price: (50_000, 100_000),
            sequence: 1,
            valid_ms: HOUR_MS,
            region: None,
            capacity: Capacity { running_max: 8, queued_max: 8 },
            lease_expires_at_ms: None,
            join_token: None,
        }
    }

    pub fn offer(&self, now_ms: i64) -> Offer {
        let price = |served: &Served| Price {
            model: served.id.clone(),
            prompt_pusd: self.price.0,
            cached_pusd: None,
            completion_pusd: self.price.1,
        };
        Offer {
            node: self.key.public(),
            sequence: self.sequence,
            issued_at_ms: now_ms,
            valid_until_ms: now_ms + self.valid_ms,
            prices: self.models.iter().map(price).collect(),
            sla: None,
        }
    }

    /// # Errors
    /// A statement that makes no JSON.
    pub fn hello(&self, gateway: PublicKey, now_ms: i64) -> Result<Hello, serde_json::Error> {
        let (node, operator) = (self.key.public(), self.operator.public());
        let delegation = Delegation { operator, node, issued_at_ms: now_ms };
        Ok(Hello {
            protocol: openapi::node::PROTOCOL,
            node,
            delegation: Signed::new(&delegation, &self.operator)?,
            gateway,
            exporter: hex::encode(EXPORTER),
            nonce: NONCE.to_owned(),
            time_ms: now_ms,
            link: Link::Tunnel,
            hardware: Hardware { backend: "cpu".to_owned(), ..Hardware::default() },
            models: self.models.clone(),
            region: self.region.clone(),
            offer: Signed::new(&self.offer(now_ms), &self.key)?,
            capacity: self.capacity,
            lease_expires_at_ms: self.lease_expires_at_ms,
            software: "scripted/1".to_owned(),
        })
    }

    /// # Errors
    /// Whatever the market has against the node.
    pub fn ask(&self, market: &Market) -> Result<Admission, Error> {
        let hello = self.hello(market.identity().public(), market.time().now().unix_ms)?;
        self.present(market, &Signed::new(&hello, &self.key)?)
    }

    /// # Errors
    /// Whatever the market has against the hello.
    pub fn present(&self, market: &Market, hello: &Signed<Hello>) -> Result<Admission, Error> {
        Ok(market.admit(&Presented {
            hello,
            join_token: self.join_token.as_deref(),
            exporter: EXPORTER,
            nonce: NONCE,
            remote: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
        })?)
    }

    /// Joins; requests for it go to `base_url`. To be published.
    ///
    /// # Errors
    /// Whatever the market has against the node.
    pub fn join(&self, market: &Market, base_url: &url::Url) -> Result<Membership, Error> {
        let admission = self.ask(market)?;
        let upstream = Upstream {
            id: admission.provider.to_string(),
            operator: admission.operator.to_string(),
            base_url: base_url.clone(),
            api_key: None,
            region: None,
            allow_private: true,
            continues: false,
            dialect: Dialect::default(),
            models: Vec::new(),
        };
        let endpoint = Arc::new(Endpoint::new(&upstream, &Limits::default())?);
        Ok(market.attach(admission, endpoint))
    }
}

fn key(number: u64, kind: u8) -> SecretKey {
    let mut seed = [kind; 32];
    for (byte, of) in seed.iter_mut().zip(number.to_le_bytes()) {
        *byte = of;
    }
    SecretKey::from_seed(&seed)
}

/// A model with these weights.
pub fn served(id: &str, weights_id: Option<&str>) -> Served {
    Served {
        id: id.to_owned(),
        weights_id: weights_id.map(str::to_owned),
        quantization: None,
        kv_dtype: None,
        engine: None,
        template_sha256: None,
        context_length: None,
        features: Vec::new(),
    }
}
