//! The lease tokens in force, as digests: so that one that is shown on another connection than its own
//! can be told from one that never was.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::auth::digest;
use crate::market::LeaseToken;

#[derive(Clone, Default)]
pub(super) struct Leases(Arc<Mutex<HashSet<[u8; 32]>>>);

/// A token in force, until it is dropped.
pub(super) struct InForce {
    leases: Leases,
    digest: [u8; 32],
}

impl Leases {
    pub(super) fn add(&self, token: &LeaseToken) -> InForce {
        let digest = digest(token.expose().as_bytes());
        self.with(|set| set.insert(digest));
        InForce { leases: self.clone(), digest }
    }

    /// Whether the token is some connection's.
    pub(super) fn knows(&self, token: &[u8]) -> bool {
        let digest = digest(token);
        self.with(|set| set.contains(&digest))
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashSet<[u8; 32]>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for InForce {
    fn drop(&mut self) {
        self.leases.with(|set| set.remove(&self.digest));
    }
}
