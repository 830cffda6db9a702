//! What a model name means and who serves it: an immutable snapshot that readers never lock, made by
//! one writer of the static upstreams of the configuration and the nodes that joined. It judges who may
//! join and under which names a node sells; it refuses to choose among providers.

mod aliases;
mod catalogue;
mod crowd;
pub mod evidence;
mod gate;
mod hello;
mod index;
mod integrity;
mod join;
mod known;
mod knowns;
pub mod measure;
mod member;
mod membership;
mod offer;
mod refusal;
pub mod region;
mod registry;
mod ring;
mod snapshot;
mod table;
pub mod testing;
mod time;
mod writer;

use indexmap::IndexSet;
use openapi::node::Standing;
use openapi::nodes::EvidenceRecord;
use openapi::sign::{PublicKey, SecretKey};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use aliases::Aliases;
pub use crowd::{Crowd, Seat};
pub use index::Index;
pub use integrity::{Booked, Integrity, Kept, Verdicts};
pub use join::{Admission, LeaseToken, Presented};
pub use known::{Figures, Known};
pub use member::{Facts, Member, OnSale, Prices, RENTED_MARGIN};
pub use membership::{Bye, Membership, OfferSeen};
pub use refusal::Refusal;
pub use ring::Ring;
pub use snapshot::{Model, Offer, Resolved, Seller, Snapshot};
pub use time::{Now, Time};

use crate::auth::Digest;
use crate::clock::Clock;
use crate::config::Settings;
use crate::shutdown::Shutdown;
use crate::upstream::Endpoint;
use registry::Inner;
use writer::Base;

/// Of another's words in a refusal.
const MESSAGE_CHARS_MAX: usize = 200;

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
        let base = base(settings, clock.unix_s())?;
        let inner = Inner::new(settings, identity, Arc::new(Time::new(clock)), base);
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
        self.inner.table().members().cloned().collect()
    }

    pub fn members_len(&self) -> usize {
        self.inner.table().len()
    }

    /// A node that is connected.
    pub fn member(&self, node: &PublicKey) -> Option<Arc<Member>> {
        self.inner.table().member(node).cloned()
    }

    /// What is known of a node, connected or not.
    pub fn known(&self, node: &PublicKey) -> Option<Arc<Known>> {
        self.inner.table().knowns.get(node).cloned()
    }

    /// Why a node was sent away, if it was.
    pub fn ejected(&self, node: &PublicKey) -> Option<Arc<str>> {
        self.inner.ejected(node)
    }

    /// Nodes that were sent away, and why.
    pub fn all_ejected(&self) -> Vec<(PublicKey, Arc<str>)> {
        let table = self.inner.table();
        table.knowns.all_ejected().map(|(node, reason)| (*node, reason.clone())).collect()
    }

    /// Sends a node away, now and whenever it comes back. True if it was connected.
    pub fn eject(&self, node: &PublicKey, reason: &str) -> bool {
        self.inner.eject(node, reason)
    }

    /// Lets a node come again. True if it had been sent away.
    pub fn readmit(&self, node: &PublicKey) -> bool {
        let now_ms = self.inner.time.run_ms();
        let mut table = self.inner.table();
        if let Some(known) = table.knowns.get(node) {
            known.readmitted(now_ms);
        }
        table.knowns.readmit(node)
    }

    /// What was kept of nodes from before this start: verdicts by name, and why a node was sent away.
    pub fn remember(&self, kept: impl IntoIterator<Item = Kept>) {
        let now_ms = u64::try_from(self.inner.time.now().unix_ms).unwrap_or_default();
        let mut table = self.inner.table();
        for Kept { node, model, verdicts } in kept {
            table.knowns.asked(&node).remember(&model, verdicts, now_ms);
        }
    }

    /// What spoke against nodes before this start.
    pub fn remember_evidence(
        &self,
        evidence: impl IntoIterator<Item = (PublicKey, EvidenceRecord)>,
    ) {
        let mut table = self.inner.table();
        for (node, record) in evidence {
            table.knowns.asked(&node).evidence.push(record);
        }
    }

    /// Nodes that were sent away before this start.
    pub fn remember_ejected(&self, ejected: impl IntoIterator<Item = (PublicKey, String)>) {
        let mut table = self.inner.table();
        ejected.into_iter().for_each(|(node, reason)| table.knowns.eject(node, &reason));
    }

    /// No new requests for a node, whose membership ends within this time. True if it is connected.
    pub fn drain(&self, node: &PublicKey, within: Duration) -> bool {
        let member = self.member(node);
        if let Some(member) = &member {
            self.inner.drain(member, within);
        }
        member.is_some()
    }

    /// A measurement has refuted the region a node claims: the node is sent home, and that claim of
    /// its key is refused from now on.
    pub fn refute_region(&self, member: &Arc<Member>, why: &str) {
        if let Some(region) = &member.hello.region {
            member.known.refute_region(region);
        }
        let bye = Bye::new(format!("region_refuted: {why}"), false);
        self.inner.end(member, Standing::Gone, Some(bye));
    }

    /// Whether it is the token of any lease.
    pub fn knows_token(&self, token: &str) -> bool {
        self.inner.table().knows(&Digest::of(token.as_bytes()))
    }

    /// Makes what has changed seen at once. True if anything had.
    pub fn publish(&self) -> bool {
        self.inner.publish()
    }

    /// Ends leases that are over, as the writer does once a second.
    pub fn reap(&self) {
        self.inner.reap();
    }

    /// The writer: makes changes seen and ends leases that are over, until the gateway drains.
    pub async fn run(self, shutdown: Shutdown) {
        self.inner.run(shutdown).await;
    }
}

/// What every snapshot has, whoever joins.
fn base(settings: &Settings, created: i64) -> Result<Base, Error> {
    let aliases = Arc::new(Aliases::new(&settings.aliases));
    let mut base = Base { created, aliases, ..Base::default() };
    let mut listed: IndexSet<Arc<str>> = IndexSet::new();
    listed.extend(settings.models.iter().map(|entry| Arc::from(entry.id.as_str())));
    for upstream in &settings.upstreams {
        let endpoint = Arc::new(Endpoint::new(upstream, &settings.limits)?);
        base.static_endpoints.push(endpoint.clone());
        for served in &upstream.models {
            let id: Arc<str> = served.id.as_str().into();
            let rules = settings.breaker.rules;
            let offer = Offer::of_upstream(endpoint.clone(), upstream, served, rules);
            base.static_offers.entry(id.clone()).or_default().push(Arc::new(offer));
            listed.insert(id);
        }
    }
    let mut seen = HashSet::new();
    for id in listed {
        let entry = settings.models.iter().find(|entry| *entry.id == *id);
        let aliases = entry.into_iter().flat_map(|entry| &entry.aliases);
        let aliases = aliases.map(|alias| Arc::from(alias.as_str()));
        let names: Vec<Arc<str>> = std::iter::once(id.clone()).chain(aliases).collect();
        if let Some(twice) = names.iter().find(|name| !seen.insert((*name).clone())) {
            return Err(Error::Ambiguous(twice.to_string()));
        }
        base.names.insert(id.clone(), names);
        base.listed.push(id);
    }
    Ok(base)
}

/// Characters that steer a terminal, or are not seen and change how those about them are: they turn what
/// a person reads into something else than what is written.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// What another says is wrong, as one line that fits into a message and a log.
fn short(error: &dyn std::fmt::Display) -> String {
    let plain = |c: char| if is_hidden(c) { ' ' } else { c };
    error.to_string().chars().take(MESSAGE_CHARS_MAX).map(plain).collect()
}
