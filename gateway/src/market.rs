//! What a model name means and who serves it: an immutable snapshot that readers never lock, made by
//! one writer of the static upstreams of the configuration and the nodes that joined. It judges who may
//! join and under which names a node sells; it refuses to choose among providers.

pub mod evidence;
mod join;
mod known;
pub mod measure;
mod member;
mod membership;
mod refusal;
pub mod region;
mod registry;
mod snapshot;
mod time;

use indexmap::IndexMap;
use openapi::sign::{PublicKey, SecretKey};
use std::sync::Arc;

pub use join::{Admission, LeaseToken, Presented};
pub use known::{Figures, Known};
pub use member::{Facts, Member, OnSale, Prices, RENTED_MARGIN};
pub use membership::{Bye, Membership, OfferSeen};
pub use refusal::Refusal;
pub use snapshot::{Model, Offer, Seller, Snapshot};
pub use time::{Now, Time};

use crate::clock::Clock;
use crate::config::Settings;
use crate::upstream::Endpoint;
use registry::Inner;

/// Shared by all requests. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Market {
    inner: Arc<Inner>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the name {0} stands for two models")]
    Ambiguous(String),
    #[error(transparent)]
    Endpoint(#[from] crate::upstream::Invalid),
}

// === impl Market ===

impl Market {
    /// `identity`: the gateway's own key, by which nodes know it.
    ///
    /// # Errors
    /// An upstream whose URL, id or key can't be used; a name that stands for two models.
    pub fn new(
        settings: &Settings,
        identity: Arc<SecretKey>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let snapshot = statics(settings, clock.unix_s())?;
        let time = Arc::new(Time::new(clock));
        let inner = Inner::new(settings.market.clone(), identity, time, snapshot);
        Ok(Self { inner: Arc::new(inner) })
    }

    pub fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.inner.snapshot.load()
    }

    /// By which nodes know this gateway.
    pub fn identity(&self) -> &Arc<SecretKey> {
        &self.inner.identity
    }

    pub fn time(&self) -> &Arc<Time> {
        &self.inner.time
    }

    /// All that are connected, in no order.
    pub fn members(&self) -> Vec<Arc<Member>> {
        self.inner.members()
    }

    /// The region that a node claims can't be true: its lease ends, and it may come back with another.
    pub fn refute_region(&self, member: &Arc<Member>, why: &str) {
        if let Some(region) = &member.hello.region {
            member.known.refute_region(region);
            member.ending.say(Bye::new(format!("region_refuted: {region}: {why}"), false));
        }
    }

    /// A node that is connected.
    pub fn member(&self, node: &PublicKey) -> Option<Arc<Member>> {
        self.members().into_iter().find(|member| member.node == *node)
    }

    /// What is known of a node, connected or not.
    pub fn known(&self, node: &PublicKey) -> Option<Arc<Known>> {
        self.member(node).map(|member| member.known.clone())
    }

    /// Nodes that were sent away, and why.
    pub fn all_ejected(&self) -> Vec<(PublicKey, Arc<str>)> {
        Vec::new()
    }

    pub fn eject(&self, _: &PublicKey, _: &str) -> bool {
        false
    }

    pub fn readmit(&self, _: &PublicKey) -> bool {
        false
    }

    pub fn drain(&self, _: &PublicKey, _: std::time::Duration) -> bool {
        false
    }

    /// Why a node was sent away, if it was.
    pub fn ejected(&self, node: &PublicKey) -> Option<String> {
        self.inner.ejected(node)
    }
}

/// The snapshot of a market that nobody joined.
fn statics(settings: &Settings, created: i64) -> Result<Snapshot, Error> {
    let mut offers: IndexMap<Arc<str>, Vec<Arc<Offer>>> = IndexMap::new();
    for entry in &settings.models {
        offers.entry(entry.id.as_str().into()).or_default();
    }
    let mut snapshot = Snapshot::default();
    for upstream in &settings.upstreams {
        let endpoint = Arc::new(Endpoint::new(upstream, &settings.limits)?);
        snapshot.endpoints.push(endpoint.clone());
        for served in &upstream.models {
            let offer = Offer::of_upstream(endpoint.clone(), upstream, served);
            offers.entry(served.id.as_str().into()).or_default().push(Arc::new(offer));
        }
    }
    let mut name = |name: Arc<str>, model: &Arc<Model>| match snapshot
        .by_name
        .insert(name.clone(), model.clone())
    {
        None => Ok(()),
        Some(_) => Err(Error::Ambiguous(name.to_string())),
    };
    for (id, offers) in offers {
        let model = Arc::new(Model::new(id.clone(), created, offers));
        name(id, &model)?;
        let entry = settings.models.iter().find(|entry| *entry.id == *model.id);
        for alias in entry.into_iter().flat_map(|entry| &entry.aliases) {
            name(alias.as_str().into(), &model)?;
        }
        snapshot.models.push(model);
    }
    Ok(snapshot)
}
