//! A model's offers by what policies filter by, so that filtering is not a scan: for each value a bitmap,
//! or a short list of places where few have it. Says the same as `route::eligible`, which a test compares.

use fixedbitset::FixedBitSet;
use openapi::node::Feature;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::snapshot::Offer;
use crate::auth::Scope;
use crate::request::Policy;
use crate::route::eligible::{self, NEEDS, Needs};

#[derive(Debug, Default)]
pub struct Index {
    len: usize,
    /// In lower case: regions and quantizations are compared without regard to it.
    regions: HashMap<Box<str>, Places>,
    quantizations: HashMap<Box<str>, Places>,
    /// By the provider's id and by its operator.
    parties: HashMap<Arc<str>, Places>,
    has_members: bool,
    /// In the order of [`NEEDS`], where not all have it: who has.
    able: [Option<FixedBitSet>; NEEDS.len()],
    /// By the context that is declared, tokens.
    contexts: BTreeMap<u64, Places>,
}

/// Where in the list of offers.
#[derive(Debug)]
enum Places {
    Few(Vec<u32>),
    Many(FixedBitSet),
}

/// A bitmap of all offers is smaller than a list of more than a 32nd of them.
const FEW_SHARE: usize = 32;

// === impl Index ===

impl Index {
    pub(super) fn new(offers: &[Arc<Offer>]) -> Self {
        let mut regions: HashMap<Box<str>, Vec<u32>> = HashMap::new();
        let mut quantizations: HashMap<Box<str>, Vec<u32>> = HashMap::new();
        let mut parties: HashMap<Arc<str>, Vec<u32>> = HashMap::new();
        for (place, offer) in (0u32..).zip(offers) {
            if let Some(region) = &offer.region {
                add_text(&mut regions, region, place);
            }
            if let Some(quantization) = &offer.quantization {
                add_text(&mut quantizations, quantization, place);
            }
            let (id, operator) = (&offer.endpoint.id, &offer.endpoint.operator);
            parties.entry(id.clone()).or_default().push(place);
            if operator != id {
                parties.entry(operator.clone()).or_default().push(place);
            }
        }
        let len = offers.len();
        Self {
            len,
            regions: packed(regions, len),
            quantizations: packed(quantizations, len),
            parties: packed(parties, len),
            has_members: offers.iter().any(|offer| offer.seller.is_some()),
            able: NEEDS.map(|(feature, _)| who_has(feature, offers)),
            contexts: contexts(offers),
        }
    }

    /// Whether any offer is a node's.
    pub fn has_members(&self) -> bool {
        self.has_members
    }

    /// Where the offers are that policy and scope admit; prices are as of this moment.
    pub fn admitted(
        &self,
        offers: &[Arc<Offer>],
        policy: Option<&Policy>,
        scope: &Scope,
    ) -> FixedBitSet {
        let mut left = FixedBitSet::with_capacity(self.len);
        left.insert_range(..);
        if let Some(regions) = scope.regions() {
            left.intersect_with(&self.texts(&self.regions, regions));
        }
        if let Some(providers) = scope.providers() {
            left.intersect_with(&self.named(providers));
        }
        if let Some(policy) = policy {
            self.narrow(&mut left, policy);
            if policy.max_price.prompt.is_some() || policy.max_price.completion.is_some() {
                keep(&mut left, offers, |offer| eligible::is_affordable(policy, &offer.terms()));
            }
            if policy.min_reputation.is_some_and(|least| least > 0.0) {
                keep(&mut left, offers, |offer| eligible::is_reputable(policy, &offer.terms()));
            }
        }
        left
    }

    /// Where the offers are of who can do what the request needs; absent: all can.
    pub fn able(&self, needs: &Needs) -> Option<FixedBitSet> {
        let able = self.able.iter().zip(needs.list()).filter(|(_, is_needed)| *is_needed);
        able.filter_map(|(able, _)| able.as_ref()).fold(None, |left: Option<FixedBitSet>, able| {
            Some(match left {
                None => able.clone(),
                Some(mut left) => {
                    left.intersect_with(able);
                    left
                }
            })
        })
    }

    /// Where the offers are whose declared context is below so many tokens; absent: none is.
    pub fn shorter(&self, tokens: u64) -> Option<FixedBitSet> {
        let mut shorter = self.contexts.range(..tokens).map(|(_, places)| places).peekable();
        shorter.peek()?;
        let mut found = FixedBitSet::with_capacity(self.len);
        shorter.for_each(|places| places.add_to(&mut found));
        Some(found)
    }

    /// Where the offers are of a provider, or of an operator's providers.
    pub fn party(&self, name: &str) -> Vec<usize> {
        match self.parties.get(name) {
            None => Vec::new(),
            Some(Places::Few(places)) => places.iter().map(|place| *place as usize).collect(),
            Some(Places::Many(places)) => places.ones().collect(),
        }
    }

    fn narrow(&self, left: &mut FixedBitSet, policy: &Policy) {
        if eligible::is_unmeetable(policy) {
            left.clear();
            return;
        }
        if !policy.only.is_empty() {
            left.intersect_with(&self.named(&policy.only));
        }
        if let Some(pin) = &policy.pin {
            left.intersect_with(&self.named(std::slice::from_ref(pin)));
        }
        if !policy.ignore.is_empty() {
            left.difference_with(&self.named(&policy.ignore));
        }
        if !policy.allow_fallbacks && !policy.order.is_empty() {
            left.intersect_with(&self.named(&policy.order));
        }
        if !policy.regions.is_empty() {
            left.intersect_with(&self.texts(&self.regions, &policy.regions));
        }
        if !policy.quantizations.is_empty() {
            left.intersect_with(&self.texts(&self.quantizations, &policy.quantizations));
        }
    }

    fn named(&self, list: &[String]) -> FixedBitSet {
        let mut found = FixedBitSet::with_capacity(self.len);
        for places in list.iter().filter_map(|name| self.parties.get(name.as_str())) {
            places.add_to(&mut found);
        }
        found
    }

    fn texts(&self, by: &HashMap<Box<str>, Places>, list: &[String]) -> FixedBitSet {
        let mut found = FixedBitSet::with_capacity(self.len);
        for text in list {
            if let Some(places) = by.get(text.to_ascii_lowercase().as_str()) {
                places.add_to(&mut found);
            }
        }
        found
    }
}

fn who_has(feature: Feature, offers: &[Arc<Offer>]) -> Option<FixedBitSet> {
    let has =
        |offer: &Offer| offer.served().is_none_or(|served| served.features.contains(&feature));
    let mut able = FixedBitSet::with_capacity(offers.len());
    for (place, offer) in offers.iter().enumerate() {
        able.set(place, has(offer));
    }
    (!able.is_full()).then_some(able)
}

fn contexts(offers: &[Arc<Offer>]) -> BTreeMap<u64, Places> {
    let mut contexts: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for (place, offer) in (0u32..).zip(offers) {
        if let Some(context) = offer.context {
            contexts.entry(context).or_default().push(place);
        }
    }
    contexts.into_iter().map(|(at, places)| (at, Places::new(places, offers.len()))).collect()
}

fn add_text(map: &mut HashMap<Box<str>, Vec<u32>>, text: &str, place: u32) {
    let lower = text.bytes().any(|byte| byte.is_ascii_uppercase());
    let lower = lower.then(|| text.to_ascii_lowercase());
    let text = lower.as_deref().unwrap_or(text);
    match map.get_mut(text) {
        Some(places) => places.push(place),
        None => drop(map.insert(text.into(), vec![place])),
    }
}

fn packed<K: std::hash::Hash + Eq>(lists: HashMap<K, Vec<u32>>, len: usize) -> HashMap<K, Places> {
    lists.into_iter().map(|(key, places)| (key, Places::new(places, len))).collect()
}

/// Takes out what does not pass.
fn keep(left: &mut FixedBitSet, offers: &[Arc<Offer>], passes: impl Fn(&Offer) -> bool) {
    for (place, offer) in offers.iter().enumerate() {
        if left.contains(place) && !passes(offer) {
            left.remove(place);
        }
    }
}

// === impl Places ===

impl Places {
    fn new(mut places: Vec<u32>, len: usize) -> Self {
        if places.len() > len / FEW_SHARE {
            return Self::Many(places.into_iter().map(|place| place as usize).collect());
        }
        places.shrink_to_fit();
        Self::Few(places)
    }

    fn add_to(&self, set: &mut FixedBitSet) {
        match self {
            Self::Few(places) => places.iter().for_each(|place| set.insert(*place as usize)),
            Self::Many(places) => set.union_with(places),
        }
    }
}
