//! This node's links to its gateways: one task each dials, joins, serves what comes over the
//! connection, and dials again when it is gone. What a gateway may ask for is decided by
//! [`crate::http`]; who this node is and what it sells, by [`crate::identity`] and [`crate::offer`].

mod backoff;
mod control;
mod dial;
mod direct;
mod entry;
mod fault;
mod hello;
mod join;
mod keep;
pub mod lease;
mod tunnel;
mod words;

pub use direct::{Error as DirectError, listener_tls};
pub use entry::Entry;

use crate::admission::Admission;
use crate::clock::Clock;
use crate::engine::Engine;
use crate::offer::Desk;
use crate::shutdown::Shutdown;
use crate::status;
use axum::Router;
use fault::Fault;
use identity::Certificate;
use openapi::node::{self, Delegation, Hardware};
use openapi::sign::{PublicKey, SecretKey, Signed};
use rustls::pki_types::CertificateDer;
use secrecy::SecretString;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use url::Url;

/// A gateway to join.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// `https://host:port`.
    pub url: Url,
    /// Its key; another one is refused.
    pub key: Option<PublicKey>,
    pub trust: Trust,
    /// Shown to a gateway that asks for a certificate.
    pub own: Option<Certificate>,
    pub join_token: Option<SecretString>,
}

/// By whom a gateway's certificate must be signed.
#[derive(Debug, Clone, Default)]
pub enum Trust {
    /// Over the pinned key; without one by a public authority, or on loopback by anyone.
    #[default]
    Unsaid,
    Public,
    Authorities(Vec<CertificateDer<'static>>),
}

/// What all links of a node share.
#[derive(Debug)]
pub struct Node {
    pub key: Arc<SecretKey>,
    pub operator: PublicKey,
    pub delegation: Signed<Delegation>,
    pub desk: Arc<Desk>,
    pub engine: Arc<dyn Engine>,
    pub admission: Admission,
    pub clock: Arc<dyn Clock>,
    pub shutdown: Shutdown,
    pub hardware: Hardware,
    pub region: Option<String>,
    /// When rented capacity ends, Unix milliseconds.
    pub lease_ends: watch::Sender<Option<i64>>,
    pub link: node::Link,
    pub leases: Arc<lease::Direct>,
    /// How long a drain may take.
    pub drain: Duration,
    /// The data folder's lock.
    pub folder_lock: Option<std::fs::File>,
}

/// The node and how it stands with each of its gateways.
#[derive(Debug)]
pub struct Links {
    pub node: Arc<Node>,
    gateways: Vec<(Gateway, Arc<Entry>)>,
}

impl Links {
    pub fn new(node: Node, gateways: Vec<Gateway>) -> Self {
        let entry = |gateway: Gateway| {
            let entry = Arc::new(Entry::new(&gateway.url));
            (gateway, entry)
        };
        Self { node: Arc::new(node), gateways: gateways.into_iter().map(entry).collect() }
    }

    /// Keeps every link up until the process drains. `router` serves what comes over them.
    ///
    /// # Errors
    /// Certificates that can't be used; then no link is begun.
    pub fn start(&self, router: &Router) -> Result<(), identity::tls::Error> {
        let tls: Vec<_> = self
            .gateways
            .iter()
            .map(|(gateway, _)| dial::tls(gateway))
            .collect::<Result<_, _>>()?;
        let tracker = self.node.shutdown.tracker();
        for ((gateway, entry), tls) in self.gateways.iter().zip(tls) {
            let kept = keep::Kept {
                node: Arc::clone(&self.node),
                gateway: gateway.clone(),
                entry: Arc::clone(entry),
                router: router.clone(),
                tls,
            };
            drop(tracker.spawn(kept.run()));
        }
        let stop = self.node.shutdown.draining().clone();
        drop(tracker.spawn(Arc::clone(&self.node.desk).keep_valid(stop)));
        Ok(())
    }

    /// As they stand now.
    pub fn status(&self) -> status::Member {
        let offer = &self.node.desk.newest().offer;
        status::Member {
            node: self.node.key.public(),
            operator: self.node.operator,
            offer: status::OfferNow {
                sequence: offer.sequence,
                valid_until_ms: offer.valid_until_ms,
                prices: offer.prices.clone(),
            },
            gateways: self.gateways.iter().map(|(_, entry)| entry.status()).collect(),
        }
    }

    /// Resolves when `holds` of all gateways.
    pub async fn until(&self, holds: impl Fn(&[status::Gateway]) -> bool) {
        let mut followed: Vec<_> = self.gateways.iter().map(|(_, entry)| entry.follow()).collect();
        loop {
            let now: Vec<_> = self.gateways.iter().map(|(_, entry)| entry.status()).collect();
            if holds(&now) || followed.is_empty() {
                return;
            }
            let changes = followed.iter_mut().map(|entry| Box::pin(entry.changed()));
            drop(futures_util::future::select_all(changes).await);
        }
    }

    /// The gateways' URLs.
    pub fn urls(&self) -> impl Iterator<Item = &Url> {
        self.gateways.iter().map(|(gateway, _)| &gateway.url)
    }
}
