//! The table of members and the one writer of the snapshot. Changes are made in the table, under a lock
//! that readers never take; the writer makes a snapshot of them, those that come close together at once.

use arc_swap::ArcSwap;
use openapi::sign::{PublicKey, SecretKey, Signed};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::join::{Admission, Presented};
use super::member::Member;
use super::membership::{Bye, Membership, OfferSeen};
use super::refusal::Refusal;
use super::snapshot::Snapshot;
use super::time::Time;
use crate::config;
use crate::upstream::Endpoint;

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) config: config::Market,
    pub(super) identity: Arc<SecretKey>,
    pub(super) time: Arc<Time>,
    pub(super) snapshot: ArcSwap<Snapshot>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    members: HashMap<PublicKey, (Arc<Member>, Arc<Endpoint>)>,
}

// === impl Inner ===

impl Inner {
    pub(super) fn new(
        config: config::Market,
        identity: Arc<SecretKey>,
        time: Arc<Time>,
        snapshot: Snapshot,
    ) -> Self {
        let snapshot = ArcSwap::from_pointee(snapshot);
        Self { config, identity, time, snapshot, table: Mutex::default() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn admit(&self, _: &Presented<'_>) -> Result<Admission, Refusal> {
        Err(Refusal::JoinClosed)
    }

    pub(super) fn attach(
        self: &Arc<Self>,
        admission: Admission,
        endpoint: Arc<Endpoint>,
    ) -> Membership {
        let member = admission.member;
        let earlier = self.table().members.insert(member.node, (member.clone(), endpoint));
        if let Some((earlier, _)) = earlier {
            earlier.ending.say(Bye::new("replaced by a newer connection", false));
        }
        Membership::new(self.clone(), member)
    }

    pub(super) fn leave(&self, member: &Arc<Member>) {
        let mut table = self.table();
        if table.members.get(&member.node).is_some_and(|(now, _)| Arc::ptr_eq(now, member)) {
            table.members.remove(&member.node);
        }
    }

    pub(super) fn reprice(
        &self,
        _: &Arc<Member>,
        offer: &Signed<openapi::node::Offer>,
    ) -> OfferSeen {
        let sequence = offer.claims().map(|offer| offer.sequence).unwrap_or_default();
        OfferSeen { sequence, reason: Some("offers can't be changed yet".to_owned()) }
    }

    pub(super) fn drain(&self, member: &Arc<Member>, _within: Duration) {
        member.set_standing(openapi::node::Standing::Draining);
    }

    pub(super) fn members(&self) -> Vec<Arc<Member>> {
        self.table().members.values().map(|(member, _)| member.clone()).collect()
    }

    pub(super) fn ejected(&self, _: &PublicKey) -> Option<String> {
        None
    }
}
