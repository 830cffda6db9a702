//! Grants by the digest of their key, in shards, so that a request that looks one up waits for no
//! other. It holds as many keys as the configuration and the store have.

use dashmap::DashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::{Digest, Grant, Source};

#[derive(Default)]
pub(super) struct Table(DashMap<Digest, Arc<Grant>, BuildHasherDefault<Given>>);

impl Table {
    pub(super) fn get(&self, digest: &Digest) -> Option<Arc<Grant>> {
        self.0.get(digest).map(|grant| Arc::clone(&grant))
    }

    pub(super) fn insert(&self, digest: Digest, grant: Arc<Grant>) {
        self.0.insert(digest, grant);
    }

    /// Not where the configuration has the same key.
    pub(super) fn remove_stored(&self, digest: &Digest) {
        self.0.remove_if(digest, |_, grant| grant.source == Source::Store);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Names, and not too many of them.
impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().take(8).map(|entry| Arc::clone(&entry.value().name));
        f.debug_struct("Table")
            .field("len", &self.0.len())
            .field("some", &names.collect::<Vec<_>>())
            .finish()
    }
}

/// The hash is the number it is given.
#[derive(Default)]
struct Given(u64);

impl Hasher for Given {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
