//! What readers see: models by name, each with its offers. Immutable; a model that has not changed is
//! shared by the next snapshot.

use openapi::models::Model as Card;
use openapi::node::Served;
use std::collections::HashMap;
use std::sync::Arc;

use super::member::{Member, Prices};
use crate::config::{Upstream, UpstreamModel};
use crate::request::Target;
use crate::route::eligible::Terms;
use crate::upstream::Endpoint;

#[derive(Debug, Default)]
pub struct Snapshot {
    /// Names and aliases to models.
    pub(super) by_name: HashMap<Arc<str>, Arc<Model>>,
    /// Those of the configuration in its order, then what is sold unlisted.
    pub(super) models: Vec<Arc<Model>>,
    pub(super) endpoints: Vec<Arc<Endpoint>>,
}

#[derive(Debug)]
pub struct Model {
    /// What the client is told; aliases lead here.
    pub id: Arc<str>,
    pub offers: Vec<Arc<Offer>>,
    /// What clients are told about it; the context length is the longest any provider offers.
    pub card: Card,
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
        self.by_name.get(name)
    }

    /// As clients write it: by id or alias, perhaps with a suffix or a provider.
    pub fn resolve<'a>(&self, name: &'a str) -> Option<(&Arc<Model>, Target<'a>)> {
        Target::readings(name).find_map(|target| Some((self.model(target.model)?, target)))
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
    ) -> Self {
        Self {
            endpoint,
            upstream_model: served.upstream_model.as_str().into(),
            region: upstream.region.as_deref().map(Arc::from),
            quantization: served.quantization.as_deref().map(Arc::from),
            context: served.context,
            verified: false,
            seller: None,
            listed: Prices { prompt: served.price_in, cached: None, completion: served.price_out },
        }
    }

    pub(super) fn of_member(
        endpoint: Arc<Endpoint>,
        seller: Seller,
        served: &Served,
        verified: bool,
    ) -> Self {
        let claimed = seller.member.hello.region.clone();
        let refuted = seller.member.known.refuted_region();
        Self {
            endpoint,
            upstream_model: served.id.as_str().into(),
            region: claimed.filter(|region| refuted.is_none_or(|r| r.as_str() != &**region)),
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
        }
    }
}

// === impl Model ===

impl Model {
    /// The owner is named if there is one only.
    pub(super) fn new(id: Arc<str>, created: i64, offers: Vec<Arc<Offer>>) -> Self {
        let first = offers.first().map(|offer| offer.endpoint.operator.clone());
        let owner = first.filter(|o| offers.iter().all(|offer| offer.endpoint.operator == *o));
        let mut card = Card::new(&*id, created, owner.as_deref().unwrap_or(SHARED));
        card.context_length = offers.iter().filter_map(|offer| offer.context).max();
        Self { id, offers, card }
    }
}
