//! Who is here, which places are kept, and what is sold under which name: the state that snapshots are
//! made of. It is behind one lock that no request takes.

use openapi::node::Standing;
use openapi::sign::PublicKey;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::knowns::Knowns;
use super::member::Member;
use super::refusal::Refusal;
use super::snapshot::{Offer, Seller};
use crate::auth::Digest;
use crate::upstream::Endpoint;

#[derive(Debug)]
pub(super) struct Table {
    seats: HashMap<PublicKey, Seat>,
    /// Places kept, by their own number: one node may ask twice.
    places: HashMap<u64, Kept>,
    /// Digests of the lease tokens of places and seats.
    tokens: HashSet<Digest>,
    next_place: u64,
    /// Whose a name is, and by how many seats and places.
    names: HashMap<Arc<str>, (PublicKey, usize)>,
    /// What nodes sell: by the model's name, then by the provider's, so that the order is stable.
    sold: HashMap<Arc<str>, Sellers>,
    /// Models whose offers are not as in the snapshot.
    dirty: HashSet<Arc<str>>,
    /// Nodes that were on probation when their models were last made.
    newcomers: HashSet<PublicKey>,
    pub(super) knowns: Knowns,
    nodes_max: usize,
}

/// Seats and places of one node: some of its connections may have died unseen.
const HELD_MAX: usize = 8;

/// By the provider's name.
type Sellers = BTreeMap<Arc<str>, Vec<Arc<Offer>>>;

#[derive(Debug)]
struct Seat {
    member: Arc<Member>,
    endpoint: Arc<Endpoint>,
}

#[derive(Debug)]
struct Kept {
    provider: Arc<str>,
    token: Digest,
}

/// What a snapshot needs of the table.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// By model, all that nodes sell.
    pub(super) models: Vec<(Arc<str>, Vec<Arc<Offer>>)>,
    pub(super) endpoints: Vec<Arc<Endpoint>>,
}

// === impl Table ===

impl Table {
    pub(super) fn new(nodes_max: usize) -> Self {
        Self {
            seats: HashMap::new(),
            places: HashMap::new(),
            tokens: HashSet::new(),
            next_place: 0,
            names: HashMap::new(),
            sold: HashMap::new(),
            dirty: HashSet::new(),
            newcomers: HashSet::new(),
            knowns: Knowns::new(nodes_max),
            nodes_max,
        }
    }

    /// Keeps a place under a name. A node that is here already needs no second one.
    pub(super) fn reserve(
        &mut self,
        node: PublicKey,
        provider: &Arc<str>,
        token: Digest,
    ) -> Result<u64, Refusal> {
        let taken = self.seats.len() + self.places.len();
        if taken >= self.nodes_max && !self.seats.contains_key(&node) {
            return Err(Refusal::Full);
        }
        if self.places.len() >= self.nodes_max {
            return Err(Refusal::Full);
        }
        self.hold(provider, node)?;
        self.next_place += 1;
        self.places.insert(self.next_place, Kept { provider: provider.clone(), token });
        self.tokens.insert(token);
        Ok(self.next_place)
    }

    pub(super) fn give_back(&mut self, place: u64) {
        if let Some(Kept { provider, token }) = self.places.remove(&place) {
            self.tokens.remove(&token);
            self.release(&provider);
        }
    }

    /// Whether it is the token of any lease.
    pub(super) fn knows(&self, token: &Digest) -> bool {
        self.tokens.contains(token)
    }

    /// The place becomes a seat; who sat there before is returned.
    pub(super) fn sit(
        &mut self,
        place: u64,
        member: &Arc<Member>,
        endpoint: Arc<Endpoint>,
    ) -> Option<Arc<Member>> {
        self.places.remove(&place);
        let earlier = self.rise(&member.node, None);
        self.knowns.here(member.node, &member.known);
        self.sell(member, &endpoint);
        if member.standing() == Standing::Probation {
            self.newcomers.insert(member.node);
        }
        self.seats.insert(member.node, Seat { member: member.clone(), endpoint });
        earlier
    }

    /// Ends a node's seat, or only that of `member` if one is given; true if there was one.
    pub(super) fn rise(
        &mut self,
        node: &PublicKey,
        member: Option<&Arc<Member>>,
    ) -> Option<Arc<Member>> {
        let seat = self.seats.get(node)?;
        if member.is_some_and(|member| !Arc::ptr_eq(member, &seat.member)) {
            return None;
        }
        let Seat { member, .. } = self.seats.remove(node)?;
        for selling in &member.selling {
            let name: Arc<str> = selling.name.as_str().into();
            if let Some(sellers) = self.sold.get_mut(&name) {
                sellers.remove(&member.provider);
                if sellers.is_empty() {
                    self.sold.remove(&name);
                }
            }
            self.dirty.insert(name);
        }
        self.newcomers.remove(node);
        self.tokens.remove(&member.token);
        self.release(&member.provider);
        self.knowns.left(node);
        Some(member)
    }

    fn sell(&mut self, member: &Arc<Member>, endpoint: &Arc<Endpoint>) {
        let mut offers: BTreeMap<Arc<str>, Vec<Arc<Offer>>> = BTreeMap::new();
        for (at, selling) in member.selling.iter().enumerate() {
            let (Some(learned), Some(integrity)) = (member.learned(at), member.integrity(at))
            else {
                continue;
            };
            let served = member.hello.models.iter().enumerate();
            let Some((place, served)) = { served }.find(|(_, s)| s.id == selling.model) else {
                continue;
            };
            let seller = Seller { member: member.clone(), place };
            let known = (learned.clone(), integrity.clone());
            let endpoint = endpoint.clone();
            let offer = Offer::of_member(endpoint, seller, served, selling.verified, known);
            offers.entry(selling.name.as_str().into()).or_default().push(Arc::new(offer));
        }
        for (name, offers) in offers {
            self.sold.entry(name.clone()).or_default().insert(member.provider.clone(), offers);
            self.dirty.insert(name);
        }
    }

    pub(super) fn member(&self, node: &PublicKey) -> Option<&Arc<Member>> {
        self.seats.get(node).map(|seat| &seat.member)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.seats.values().map(|seat| &seat.member)
    }

    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }

    /// Makes the models anew of those whose probation is over. True if there are any.
    pub(super) fn graduate(&mut self) -> bool {
        let seats = &self.seats;
        let is_new = |node: &PublicKey| {
            seats.get(node).is_some_and(|seat| seat.member.standing() == Standing::Probation)
        };
        let graduates: Vec<_> = self.newcomers.extract_if(|node| !is_new(node)).collect();
        for seat in graduates.iter().filter_map(|node| self.seats.get(node)) {
            let names = seat.member.selling.iter().map(|selling| selling.name.as_str().into());
            self.dirty.extend(names);
        }
        !graduates.is_empty()
    }

    /// What has changed since it was last asked; `None`: nothing.
    pub(super) fn take_changes(&mut self) -> Option<Changes> {
        if self.dirty.is_empty() {
            return None;
        }
        let mut models = Vec::with_capacity(self.dirty.len());
        for name in self.dirty.drain() {
            let sellers = self.sold.get(&name).into_iter().flat_map(BTreeMap::values);
            models.push((name.clone(), sellers.flatten().cloned().collect()));
        }
        // The order of a set is not to be seen in what clients are told.
        models.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let endpoints = self.seats.values().map(|seat| seat.endpoint.clone()).collect();
        Some(Changes { models, endpoints })
    }

    fn hold(&mut self, name: &Arc<str>, node: PublicKey) -> Result<(), Refusal> {
        let (owner, count) = self.names.entry(name.clone()).or_insert((node, 0));
        if *owner != node {
            return Err(Refusal::NameTaken(name.to_string()));
        }
        if *count >= HELD_MAX {
            return Err(Refusal::Full);
        }
        *count += 1;
        Ok(())
    }

    fn release(&mut self, name: &Arc<str>) {
        if let Some((_, count)) = self.names.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                self.names.remove(name);
            }
        }
    }
}
