//! The key that receipts are signed with: in a file of the data folder, and replaced now and then. An old
//! secret is gone with its file, so that it can sign nothing any more; its public key stays in the store,
//! where a key stands before it signs anything.

use openapi::receipt::Key;
use openapi::sign::{PublicKey, SecretKey, Signature};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::Error;
use crate::store;

/// In the data folder.
pub const FILE: &str = "receipts.key";

#[derive(Debug)]
pub struct Signer {
    path: PathBuf,
    current: Mutex<Arc<Current>>,
}

#[derive(Debug)]
pub(super) struct Current {
    pub(super) secret: SecretKey,
    /// Unix seconds.
    created: i64,
}

// === impl Signer ===

impl Signer {
    /// The folder's key; made where there is none. Blocks.
    ///
    /// # Errors
    /// The file or the store can't be used.
    pub fn open(data_dir: &Path, store: &dyn store::Receipts, now: i64) -> Result<Self, Error> {
        let path = data_dir.join(FILE);
        let secret = identity::key::load_or_create(&path)?.key;
        let current = Arc::new(Current::used(secret, store, now)?);
        Ok(Self { path, current: Mutex::new(current) })
    }

    /// Another key from now on. Blocks.
    ///
    /// # Errors
    /// The file or the store can't be written. If the file is new already, the next start uses it.
    pub fn rotate(&self, store: &dyn store::Receipts, now: i64) -> Result<Key, Error> {
        let secret = identity::key::replace(&self.path)?;
        let current = Current::used(secret, store, now)?;
        let key = Key { key: current.secret.public(), created: current.created, retired: None };
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(current);
        Ok(key)
    }

    pub(super) fn current(&self) -> Arc<Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn created(&self) -> i64 {
        self.current().created
    }

    pub(super) fn sign_text(&self, text: &str) -> Option<(PublicKey, Signature)> {
        let current = self.current();
        Some((current.secret.public(), current.secret.sign_bare(text.as_bytes())?))
    }
}

// === impl Current ===

impl Current {
    fn used(secret: SecretKey, store: &dyn store::Receipts, now: i64) -> Result<Self, Error> {
        let key = secret.public();
        store.use_key(key, now)?;
        let created = store.keys()?.into_iter().find(|known| known.key == key);
        Ok(Self { secret, created: created.map_or(now, |known| known.created) })
    }
}
