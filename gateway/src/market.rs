//! What a model name means and who serves it: an immutable snapshot that readers never lock.
//! Static upstreams of the configuration today; providers that join by themselves come in by
//! another writer of the same snapshot. It refuses to choose among providers.

use arc_swap::ArcSwap;
use indexmap::IndexMap;
use openapi::models::Model as Card;
use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{Settings, Upstream, UpstreamModel};
use crate::request::Target;
use crate::route::eligible::Terms;
use crate::upstream::Endpoint;

/// Shared by all requests; the snapshot is replaced as a whole.
#[derive(Debug)]
pub struct Market {
    snapshot: ArcSwap<Snapshot>,
}

#[derive(Debug, Default)]
pub struct Snapshot {
    /// Names and aliases to models.
    by_name: HashMap<String, Arc<Model>>,
    /// In the order of the configuration.
    models: Vec<Arc<Model>>,
    endpoints: Vec<Arc<Endpoint>>,
}

#[derive(Debug)]
pub struct Model {
    /// What the client is told; aliases lead here.
    pub id: Arc<str>,
    pub offers: Vec<Offer>,
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
    /// Dollars per million prompt tokens.
    pub price_in: Option<f64>,
    /// Dollars per million answer tokens.
    pub price_out: Option<f64>,
    /// Tokens, prompt and answer together.
    pub context: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the name {0} stands for two models")]
    Ambiguous(String),
    #[error(transparent)]
    Endpoint(#[from] crate::upstream::Invalid),
}

impl Market {
    /// `created`: the models' birthday, Unix seconds.
    ///
    /// # Errors
    /// An upstream whose URL, id or key can't be used; a name that stands for two models.
    pub fn new(settings: &Settings, created: i64) -> Result<Self, Error> {
        Ok(Self { snapshot: ArcSwap::from_pointee(Snapshot::new(settings, created)?) })
    }

    pub fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }
}

impl Snapshot {
    fn new(settings: &Settings, created: i64) -> Result<Self, Error> {
        let mut drafts = Drafts { created, ..Drafts::default() };
        for entry in &settings.models {
            drafts.draft(&entry.id);
        }
        let mut endpoints = Vec::with_capacity(settings.upstreams.len());
        for upstream in &settings.upstreams {
            let endpoint = Arc::new(Endpoint::new(upstream, &settings.limits)?);
            endpoints.push(endpoint.clone());
            for served in &upstream.models {
                let offer = Offer::new(endpoint.clone(), upstream, served);
                drafts.draft(&served.id).add(offer, &upstream.operator);
            }
        }
        let mut snapshot = Self { endpoints, ..Self::default() };
        for model in drafts.models.into_values().map(Arc::new) {
            snapshot.models.push(model.clone());
            snapshot.name(model.id.to_string(), model)?;
        }
        for entry in &settings.models {
            for alias in &entry.aliases {
                if let Some(model) = snapshot.by_name.get(&entry.id).cloned() {
                    snapshot.name(alias.clone(), model)?;
                }
            }
        }
        Ok(snapshot)
    }

    fn name(&mut self, name: String, model: Arc<Model>) -> Result<(), Error> {
        match self.by_name.insert(name.clone(), model) {
            None => Ok(()),
            Some(_) => Err(Error::Ambiguous(name)),
        }
    }

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

impl Offer {
    fn new(endpoint: Arc<Endpoint>, upstream: &Upstream, served: &UpstreamModel) -> Self {
        Self {
            endpoint,
            upstream_model: served.upstream_model.as_str().into(),
            region: upstream.region.as_deref().map(Arc::from),
            quantization: served.quantization.as_deref().map(Arc::from),
            price_in: served.price_in,
            price_out: served.price_out,
            context: served.context,
        }
    }

    /// What policies look at.
    pub fn terms(&self) -> Terms<'_> {
        Terms {
            provider: &self.endpoint.id,
            operator: &self.endpoint.operator,
            region: self.region.as_deref(),
            quantization: self.quantization.as_deref(),
            price_in: self.price_in,
            price_out: self.price_out,
        }
    }
}

/// `owned_by` of a model that several operators serve, or none yet.
const SHARED: &str = "quorate";

/// Models while a snapshot is made, in the order in which they are first named.
#[derive(Debug, Default)]
struct Drafts {
    models: IndexMap<String, Model>,
    created: i64,
}

impl Drafts {
    fn draft(&mut self, id: &str) -> &mut Model {
        let created = self.created;
        self.models.entry(id.to_owned()).or_insert_with(|| {
            let card = Card::new(id, created, SHARED);
            Model { id: id.into(), offers: Vec::new(), card }
        })
    }
}

impl Model {
    /// The owner is named if there is one only.
    fn add(&mut self, offer: Offer, operator: &str) {
        let owner = if self.offers.is_empty() || self.card.owned_by == operator {
            operator
        } else {
            SHARED
        };
        owner.clone_into(&mut self.card.owned_by);
        self.card.context_length = self.card.context_length.max(offer.context);
        self.offers.push(offer);
    }
}
