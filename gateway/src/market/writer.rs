//! The one writer of the snapshot: waits for changes, lets those that come close together come, and makes
//! anew the models that they touch. All others are shared with the snapshot before.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::aliases::Aliases;
use super::registry::Inner;
use super::snapshot::{Model, Offer, Snapshot};
use super::table::Changes;
use crate::route::Shared;
use crate::shutdown::Shutdown;
use crate::upstream::Endpoint;

/// Changes that come within are made at once.
const TOGETHER: Duration = Duration::from_millis(20);
/// The writer works at most a fifth of the time, however long a snapshot takes to make.
const REST: u32 = 4;
/// Leases are looked at so often.
const REAP: Duration = Duration::from_secs(1);

/// What every snapshot has in common.
#[derive(Debug, Default)]
pub(super) struct Base {
    /// The models' birthday, Unix seconds.
    pub(super) created: i64,
    /// Models of the configuration, in its order.
    pub(super) listed: Vec<Arc<str>>,
    pub(super) static_offers: HashMap<Arc<str>, Vec<Arc<Offer>>>,
    pub(super) static_endpoints: Vec<Arc<Endpoint>>,
    /// Names of the catalogue for a model, its id among them.
    pub(super) names: HashMap<Arc<str>, Vec<Arc<str>>>,
    pub(super) aliases: Arc<Aliases>,
    /// What nodes sell beside: `id@provider`.
    pub(super) unlisted: BTreeMap<Arc<str>, Arc<Model>>,
    /// What is learned of each model that is listed or sold, by its id.
    pub(super) shared: HashMap<Arc<str>, Arc<Shared>>,
}

// === impl Base ===

impl Base {
    /// Before anybody has joined.
    pub(super) fn first(&mut self) -> Snapshot {
        let mut models: HashMap<Arc<str>, Arc<Model>> = HashMap::new();
        for id in self.listed.clone() {
            let model = self.model(&id, Vec::new());
            models.insert(id, model);
        }
        let mut snapshot = Snapshot { aliases: self.aliases.clone(), ..Snapshot::default() };
        for (id, model) in &models {
            self.name(&mut snapshot, id, model);
        }
        snapshot.models = self.listed.iter().filter_map(|id| models.get(id)).cloned().collect();
        snapshot.endpoints.clone_from(&self.static_endpoints);
        snapshot
    }

    fn model(&mut self, id: &Arc<str>, sold: Vec<Arc<Offer>>) -> Arc<Model> {
        let mut offers = self.static_offers.get(id).cloned().unwrap_or_default();
        offers.extend(sold);
        let shared = self.shared.entry(id.clone()).or_default().clone();
        Arc::new(Model::new(id.clone(), self.created, offers, shared))
    }

    fn name(&self, snapshot: &mut Snapshot, id: &Arc<str>, model: &Arc<Model>) {
        for name in self.names.get(id).into_iter().flatten() {
            snapshot.by_name.insert(name.clone(), model.clone());
        }
    }

    fn next(&mut self, before: &Snapshot, changes: Changes) -> Snapshot {
        let mut snapshot = Snapshot {
            by_name: before.by_name.clone(),
            models: Vec::new(),
            endpoints: self.static_endpoints.iter().cloned().chain(changes.endpoints).collect(),
            aliases: self.aliases.clone(),
        };
        for (id, sold) in changes.models {
            let is_listed = self.names.contains_key(&id);
            if sold.is_empty() && !is_listed {
                self.unlisted.remove(&id);
                self.shared.remove(&id);
                snapshot.by_name.remove(&id);
                continue;
            }
            let model = self.model(&id, sold);
            match is_listed {
                true => self.name(&mut snapshot, &id, &model),
                false => {
                    snapshot.by_name.insert(id.clone(), model.clone());
                    self.unlisted.insert(id, model);
                }
            }
        }
        let listed = self.listed.iter().filter_map(|id| snapshot.by_name.get(id));
        snapshot.models = listed.chain(self.unlisted.values()).cloned().collect();
        snapshot
    }
}

// === impl Inner ===

impl Inner {
    /// Makes what has changed seen. True if anything had.
    pub(super) fn publish(&self) -> bool {
        let mut base = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(changes) = self.table().take_changes() else { return false };
        let next = base.next(&self.snapshot.load(), changes);
        self.snapshot.store(Arc::new(next));
        true
    }

    /// Publishes and reaps until the gateway drains.
    pub(super) async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let mut reap = tokio::time::interval(REAP);
        loop {
            tokio::select! {
                () = self.changed.notified() => {}
                _ = reap.tick() => {
                    self.reap();
                    continue;
                }
                () = shutdown.draining() => return,
            }
            let began_ms = self.time.run_ms();
            let inner = self.clone();
            // The largest models take milliseconds: not on a thread that serves requests.
            if tokio::task::spawn_blocking(move || inner.publish()).await.is_err() {
                tracing::error!("a snapshot of the market could not be made");
            }
            let took = Duration::from_millis(self.time.run_ms().saturating_sub(began_ms));
            tokio::time::sleep(TOGETHER.max(took * REST)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::clock::System;
    use crate::config;
    use crate::market::Market;
    use crate::market::testing::{Node, served};
    use openapi::node::control::Load;
    use openapi::sign::SecretKey;
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    /// Every lock of the market is held by somebody else for as long as the reader takes.
    #[test]
    fn readers_and_heartbeats_wait_for_no_lock() {
        let text = format!(
            "[server]\ndata_dir = \"/nowhere\"\n[market]\nnode_listen = \"127.0.0.1:0\"\n\
             join = \"open\"\n[[model]]\nid = \"m\"\nweights_ids = [\"b3:{}\"]\n",
            "a1".repeat(32)
        );
        let settings = config::parse(&text, &|_| None).unwrap();
        let identity = Arc::new(SecretKey::from_seed(&[1; 32]));
        let market = Market::new(&settings, identity, Arc::new(System)).unwrap();
        let node = Node::new(1, vec![served("m", Some(&format!("b3:{}", "a1".repeat(32))))]);
        let membership = node.join(&market, &"http://192.0.2.1/v1".parse().unwrap()).unwrap();
        market.publish();
        let (told, hears) = mpsc::channel();
        let (table, base) = (market.inner.table(), market.inner.publishing.lock().unwrap());
        let reader = market.clone();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let now = reader.time().now();
                membership.heartbeat(Load::default());
                membership.way(Duration::from_millis(1));
                let snapshot = reader.snapshot();
                let offer = &snapshot.resolve("m:floor").unwrap().model.offers[0];
                let is_open = offer.member().unwrap().is_open(now, Duration::ZERO);
                told.send((is_open, offer.prices().prompt)).unwrap();
                drop(snapshot);
            });
            let read = hears.recv_timeout(Duration::from_secs(60));
            drop((table, base));
            assert_eq!(read.expect("the reader waits for a lock"), (true, Some(0.05)));
        });
    }
}
