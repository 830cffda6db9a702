//! Who may join, and what they are called here. Pure.

use openapi::sign::PublicKey;
use secrecy::ExposeSecret as _;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::refusal::Refusal;
use crate::auth::Digest;
use crate::config::{Join, Named, Settings};

#[derive(Debug)]
pub(super) struct Gate {
    join: Join,
    tokens: Vec<Digest>,
    nodes: HashMap<PublicKey, Arc<str>>,
    operators: HashMap<PublicKey, Arc<str>>,
    /// Names of static upstreams.
    taken: HashSet<String>,
}

#[derive(Debug)]
pub(super) struct Names {
    pub(super) provider: Arc<str>,
    pub(super) operator: Arc<str>,
}

// === impl Gate ===

impl Gate {
    pub(super) fn new(settings: &Settings) -> Self {
        let market = &settings.market;
        let by_key = |list: &[Named]| {
            list.iter().map(|named| (named.key, Arc::from(named.name.as_str()))).collect()
        };
        let tokens = market.tokens.iter().map(|token| Digest::of(token.expose_secret().as_bytes()));
        Self {
            join: market.join,
            tokens: tokens.collect(),
            nodes: by_key(&market.nodes),
            operators: by_key(&market.operators),
            taken: settings.upstreams.iter().map(|upstream| upstream.id.clone()).collect(),
        }
    }

    /// Judged first: who has no token learns nothing more. Every token is compared, in constant time.
    pub(super) fn token(&self, shown: Option<&str>) -> Result<(), Refusal> {
        match self.join {
            Join::Closed => Err(Refusal::JoinClosed),
            Join::Open | Join::AllowList => Ok(()),
            Join::Token => {
                let shown = shown.map(|token| Digest::of(token.as_bytes()));
                let fits = |token: &&Digest| shown.as_ref() == Some(*token);
                match self.tokens.iter().filter(fits).count() {
                    0 => Err(Refusal::JoinTokenRequired),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Only for keys that were proven.
    pub(super) fn list(&self, node: &PublicKey, operator: &PublicKey) -> Result<(), Refusal> {
        let is_listed = self.nodes.contains_key(node) || self.operators.contains_key(operator);
        match self.join == Join::AllowList && !is_listed {
            true => Err(Refusal::NotOnTheList),
            false => Ok(()),
        }
    }

    pub(super) fn names(&self, node: &PublicKey, operator: &PublicKey) -> Result<Names, Refusal> {
        let name = |names: &HashMap<PublicKey, Arc<str>>, key: &PublicKey| {
            names.get(key).cloned().unwrap_or_else(|| key.short().into())
        };
        let provider = name(&self.nodes, node);
        // A configured name is another key's, though the short form of this one is the same.
        let is_anothers = self.nodes.iter().any(|(key, name)| *name == provider && key != node);
        if is_anothers || self.taken.contains(&*provider) {
            return Err(Refusal::NameTaken(provider.to_string()));
        }
        Ok(Names { provider, operator: name(&self.operators, operator) })
    }
}
