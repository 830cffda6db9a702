//! The part of the composition that only members of a market have: identity and state out of the
//! data folder, the offer's desk, and the links made of them.

use super::{Error, bind};
use crate::admission::Admission;
use crate::clock::Clock;
use crate::config;
use crate::engine::Engine;
use crate::hardware;
use crate::identity::Identity;
use crate::link::{Gateway, Links, Node};
use crate::offer::{Desk, Sequence, Terms};
use crate::shutdown::Shutdown;
use openapi::node::Link;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use url::Url;

const SEQUENCE_FILE: &str = "offer_sequence";

/// What a member of a market needs besides.
#[derive(Debug)]
pub struct Joining {
    pub identity: Identity,
    pub sequence: Sequence,
    pub gateways: Vec<Gateway>,
    pub terms: Terms,
    pub region: Option<String>,
    pub lease_ends_ms: Option<i64>,
    /// Listener and URL of the direct link; absent: a tunnel.
    pub direct: Option<(TcpListener, Url)>,
}

impl Joining {
    /// Identity, sequence and listener as configured, out of `folder`.
    pub(super) async fn read(
        market: &config::Market,
        folder: &Path,
        clock: &dyn Clock,
    ) -> Result<Self, Error> {
        let key = market.operator_key.as_deref();
        let identity = Identity::open(folder, key, clock.unix_millis())?;
        let path = folder.join(SEQUENCE_FILE);
        let sequence = Sequence::open(path.clone()).map_err(|error| Error::Data { path, error })?;
        let direct = match &market.direct {
            Some(direct) => Some((bind(direct.listen).await?, direct.url.clone())),
            None => None,
        };
        Ok(Self {
            identity,
            sequence,
            gateways: market.gateways.clone(),
            terms: market.offer.clone(),
            region: market.region.clone(),
            lease_ends_ms: market.lease_ends_ms,
            direct,
        })
    }
}

/// What links need of the provider.
pub(super) struct Inside {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) admission: Admission,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) shutdown: Shutdown,
    pub(super) drain: Duration,
}

impl Inside {
    /// Opens the desk, looks at the machine; dials nobody yet.
    pub(super) async fn links(self, joining: Joining, direct: Option<Url>) -> Result<Links, Error> {
        let Joining { identity, sequence, gateways, terms, region, lease_ends_ms, .. } = joining;
        let (key, engine) = (Arc::new(identity.node), self.engine);
        let (desk_key, desk_engine) = (Arc::clone(&key), Arc::clone(&engine));
        let desk = Desk::open(desk_key, desk_engine, Arc::clone(&self.clock), terms, sequence)?;
        let backend = engine.models().first().map_or("", |model| model.backend);
        // Asks drivers, which may take their time.
        let look = self.shutdown.tracker().spawn_blocking(|| hardware::look(backend)).await;
        let hardware = look.unwrap_or_default();
        let link = match direct {
            Some(url) => Link::Direct { url: url.to_string() },
            None => Link::Tunnel,
        };
        let node = Node {
            key,
            operator: identity.operator,
            delegation: identity.delegation,
            desk: Arc::new(desk),
            engine,
            admission: self.admission,
            clock: self.clock,
            shutdown: self.shutdown,
            hardware,
            region,
            lease_ends: watch::Sender::new(lease_ends_ms),
            link,
            leases: Arc::default(),
            drain: self.drain,
            folder_lock: identity.lock,
        };
        Ok(Links::new(node, gateways))
    }
}
