//! What a model name means and who serves it: an immutable snapshot that readers never lock.
//! Static upstreams of the configuration today; providers that join by themselves come in by
//! another writer of the same snapshot. It refuses to choose among providers.

use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::sync::Arc;

use crate::config::Settings;
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
    /// Tokens; the largest any provider offers.
    pub context_length: Option<u64>,
}

/// One provider's offer to serve a model.
#[derive(Debug)]
pub struct Offer {
    pub endpoint: Arc<Endpoint>,
    /// What the provider calls the model.
    pub upstream_model: Arc<str>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the name {0} stands for two models")]
    Ambiguous(String),
    #[error(transparent)]
    Endpoint(#[from] crate::upstream::Invalid),
}

impl Market {
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(Self { snapshot: ArcSwap::from_pointee(Snapshot::new(settings)?) })
    }

    pub fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }
}

impl Snapshot {
    fn new(settings: &Settings) -> Result<Self, Error> {
        let mut order: Vec<String> = Vec::new();
        let mut offers: HashMap<String, (Vec<Offer>, Option<u64>)> = HashMap::new();
        let mut endpoints = Vec::with_capacity(settings.upstreams.len());
        for entry in &settings.models {
            order.push(entry.id.clone());
            offers.entry(entry.id.clone()).or_default();
        }
        for upstream in &settings.upstreams {
            let endpoint = Arc::new(Endpoint::new(upstream, settings.limits.upstream_idle)?);
            endpoints.push(endpoint.clone());
            for model in &upstream.models {
                let (list, context) = offers.entry(model.id.clone()).or_insert_with(|| {
                    order.push(model.id.clone());
                    Default::default()
                });
                let upstream_model = model.upstream_model.as_str().into();
                list.push(Offer { endpoint: endpoint.clone(), upstream_model });
                *context = (*context).max(model.context);
            }
        }
        let mut snapshot = Self { endpoints, ..Self::default() };
        for id in order {
            let Some((offers, context_length)) = offers.remove(&id) else { continue };
            let model = Arc::new(Model { id: id.as_str().into(), offers, context_length });
            snapshot.models.push(model.clone());
            snapshot.name(id, model)?;
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

    pub fn models(&self) -> &[Arc<Model>] {
        &self.models
    }

    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }
}
