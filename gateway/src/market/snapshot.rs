//! What readers see: models by name, each with its offers. Immutable; a model that has not changed is
//! shared by the next snapshot.

use openapi::models::Model as Card;
use openapi::node::Served;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;

use super::aliases::Aliases;
use super::crowd::Crowd;
use super::index::Index;
use super::integrity::Integrity;
use super::member::{Member, Prices};
use super::ring::Ring;
use crate::config::{Upstream, UpstreamModel};
use crate::request::Target;
use crate::request::policy::Sort;
use crate::route::eligible::Terms;
use crate::route::{Learned, Prior, Shared, breaker};
use crate::upstream::Endpoint;

#[derive(Debug, Default)]
pub struct Snapshot {
    /// Names and aliases to models.
    pub(super) by_name: HashMap<Arc<str>, Arc<Model>>,
    /// Those of the configuration in its order, then what is sold unlisted.
    pub(super) models: Vec<Arc<Model>>,
    pub(super) endpoints: Vec<Arc<Endpoint>>,
    pub(super) aliases: Arc<Aliases>,
}

#[derive(Debug)]
pub struct Model {
    /// What the client is told; aliases lead here.
    pub id: Arc<str>,
    pub offers: Vec<Arc<Offer>>,
    /// What clients are told about it; the context length is the longest any provider offers.
    pub card: Card,
    /// The offers by what policies filter by.
    pub index: Index,
    /// The providers, as the choice draws them.
    pub crowd: Crowd,
    /// The providers' seats by what they have in their caches.
    pub ring: Ring,
    /// What is learned of it over all providers; outlives the snapshot.
    pub shared: Arc<Shared>,
    /// Counts up each time that its providers change.
    pub edition: u64,
    /// Some provider goes on with an answer by its text.
    pub continues: bool,
}

/// A model's name as a client wrote it.
#[derive(Debug)]
pub struct Resolved<'a> {
    pub model: &'a Arc<Model>,
    /// Without suffix and provider.
    pub asked: String,
    /// Of the suffix.
    pub sort: Option<Sort>,
    /// The one provider that may answer.
    pub provider: Option<String>,
}

/// One provider's offer to serve a model.
#[derive(Debug)]
pub struct Offer {
    pub endpoint: Arc<Endpoint>,
    /// What the provider calls the model.
    pub upstream_model: Arc<str>,
    pub region: Option<Arc<str>>,
    pub quantization: Option<Arc<str>>,
    /// Tokens, prompt and answer together.
    pub context: Option<u64>,
    /// Whether its weights are listed under the model's name.
    pub verified: bool,
    /// Absent: a static upstream.
    pub seller: Option<Seller>,
    /// What is learned of the provider for this model. A node's is one for all of its offers of a model,
    /// and outlives its lease.
    pub learned: Arc<Learned>,
    /// What audits have shown of it; a static upstream is not audited.
    pub integrity: Option<Arc<Integrity>>,
    /// Of the configuration; a node's are in its signed offer.
    listed: Prices,
}

/// The node behind an offer.
#[derive(Debug, Clone)]
pub struct Seller {
    pub member: Arc<Member>,
    /// Of the model among those that the node serves.
    pub place: usize,
}

/// `owned_by` of a model that several operators serve, or none yet.
const SHARED: &str = "quorate";

// === impl Snapshot ===

impl Snapshot {
    /// By id or alias.
    pub fn model(&self, name: &str) -> Option<&Arc<Model>> {
        let found = self.by_name.get(name);
        found.or_else(|| self.aliases.follow(name, |name| self.by_name.get(name)))
    }

    /// As clients write it: by id or alias, perhaps with a suffix or a provider. What is a name already
    /// goes before what an alias makes of it.
    pub fn resolve(&self, name: &str) -> Option<Resolved<'_>> {
        if let Some(plain) = self.plain(name) {
            return Some(plain);
        }
        if self.aliases.is_empty() {
            return None;
        }
        // The barest reading first, so that a pattern does not swallow a suffix.
        let mut readings: SmallVec<[Target<'_>; 3]> = Target::readings(name).collect();
        readings.reverse();
        readings.into_iter().find_map(|target| {
            let found = self.aliases.follow(target.model, |to| self.plain(to))?;
            let provider = target.provider.map(str::to_owned);
            Some(Resolved {
                asked: target.model.to_owned(),
                sort: target.sort.or(found.sort),
                provider: provider.or(found.provider),
                model: found.model,
            })
        })
    }

    fn plain(&self, name: &str) -> Option<Resolved<'_>> {
        Target::readings(name).find_map(|target| {
            Some(Resolved {
                model: self.by_name.get(target.model)?,
                asked: target.model.to_owned(),
                sort: target.sort,
                provider: target.provider.map(str::to_owned),
            })
        })
    }

    pub fn models(&self) -> &[Arc<Model>] {
        &self.models
    }

    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }
}

// === impl Offer ===

impl Offer {
    pub(super) fn of_upstream(
        endpoint: Arc<Endpoint>,
        upstream: &Upstream,
        served: &UpstreamModel,
        breaker: breaker::Rules,
    ) -> Self {
        let listed = Prices { prompt: served.price_in, cached: None, completion: served.price_out };
        let learned = Learned::new(Prior { breaker, ..Prior::default() });
        listed.tell(&learned);
        Self {
            endpoint,
            learned: Arc::new(learned),
            integrity: None,
            upstream_model: served.upstream_model.as_str().into(),
            region: upstream.region.as_deref().map(Arc::from),
            quantization: served.quantization.as_deref().map(Arc::from),
            context: served.context,
            verified: false,
            seller: None,
            listed,
        }
    }

    pub(super) fn of_member(
        endpoint: Arc<Endpoint>,
        seller: Seller,
        served: &Served,
        verified: bool,
        (learned, integrity): (Arc<Learned>, Arc<Integrity>),
    ) -> Self {
        Self {
            endpoint,
            learned,
            integrity: Some(integrity),
            upstream_model: served.id.as_str().into(),
            region: seller.member.hello.region.clone(),
            quantization: served.quantization.as_deref().map(Arc::from),
            context: served.context_length,
            verified,
            seller: Some(seller),
            listed: Prices::default(),
        }
    }

    /// The node behind it; a static upstream has none.
    pub fn member(&self) -> Option<&Arc<Member>> {
        self.seller.as_ref().map(|seller| &seller.member)
    }

    /// What the node says of the model.
    pub fn served(&self) -> Option<&Served> {
        self.seller.as_ref().and_then(|seller| seller.member.served(seller.place))
    }

    /// As they are at this moment.
    pub fn prices(&self) -> Prices {
        match &self.seller {
            Some(seller) => seller.member.prices(seller.place),
            None => self.listed,
        }
    }

    /// Whether both prices are known.
    pub fn is_priced(&self) -> bool {
        self.seller.is_some() || self.listed.prompt.and(self.listed.completion).is_some()
    }

    /// What policies look at.
    pub fn terms(&self) -> Terms<'_> {
        let prices = self.prices();
        Terms {
            provider: &self.endpoint.id,
            operator: &self.endpoint.operator,
            region: self.region.as_deref(),
            quantization: self.quantization.as_deref(),
            price_in: prices.prompt,
            price_out: prices.completion,
            reputation: self.integrity.as_ref().map(|integrity| integrity.lower()),
            features: self.served().map(|served| served.features.as_slice()),
        }
    }
}

// === impl Model ===

impl Model {
    /// The owner is named if there is one only.
    pub(super) fn new(
        id: Arc<str>,
        created: i64,
        offers: Vec<Arc<Offer>>,
        shared: Arc<Shared>,
    ) -> Self {
        let first = offers.first().map(|offer| offer.endpoint.operator.clone());
        let owner = first.filter(|o| offers.iter().all(|offer| offer.endpoint.operator == *o));
        let mut card = Card::new(&*id, created, owner.as_deref().unwrap_or(SHARED));
        card.context_length = offers.iter().filter_map(|offer| offer.context).max();
        let (index, crowd) = (Index::new(&offers), Crowd::new(&offers));
        let ring = Ring::new(crowd.providers(&offers));
        let continues = offers.iter().any(|offer| offer.endpoint.continues);
        let edition = shared.line.edition();
        Self { id, offers, card, index, crowd, ring, shared, edition, continues }
    }
}
