//! Who is calling, and what the caller may use. Keys are known by their SHA-256 digests alone; a key
//! is never logged, echoed or kept in the clear here. It decides before a request's body is read.
//!
//! Keys come from the configuration and from the store; both live in one table in memory, which is
//! read without a lock that a request could wait for. A change is on disk before it is in the table.

use http::{HeaderMap, header};
use secrecy::{ExposeSecret as _, SecretString};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::{Key, Mode};
use crate::http::error::{Credentials, Error};
use crate::limit::Rules;
use crate::store::{self, Record};

pub mod browser;
mod digest;
mod draft;
mod grant;
mod mint;
mod scope;
mod table;

pub use digest::Digest;
pub use draft::{Draft, wrong_name};
pub use grant::{Grant, Source};
pub use mint::{Minted, mint, read_id, show_id};
pub use scope::Scope;

pub(crate) use digest::digest;
use table::Table;

/// Who a request comes from.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The name of the key; `open` where no key is asked for.
    pub key_name: Arc<str>,
    /// What it may use.
    pub grant: Arc<Grant>,
}

/// The keys, and where those made at run time are kept.
#[derive(Debug)]
pub struct Keys {
    mode: Mode,
    open: Principal,
    table: Table,
    /// Names of the configuration's keys, in its order.
    configured: Vec<Arc<Grant>>,
    /// Absent in open mode, which asks for no key.
    store: Option<Box<dyn store::Keys>>,
    /// What keys get that say nothing themselves.
    defaults: Rules,
    stored_max: u64,
    /// One change at a time, so that table and store agree when both are done.
    changing: Mutex<()>,
}

/// What all keys have in common.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms {
    /// Stand in for what a key's own rules leave out.
    pub defaults: Rules,
    /// Keys made at run time.
    pub stored_max: u64,
}

/// Why a key could not be made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the key {0:?} is in the configuration; take it out there")]
    Configured(String),
    #[error("this gateway asks for no keys (auth.mode is \"open\")")]
    Open,
}

// === impl Keys ===

impl Keys {
    /// The configuration's keys and all that the store holds. Where both have the same key, the
    /// configuration's word counts.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn new(
        mode: Mode,
        keys: &[Key],
        store: Option<Box<dyn store::Keys>>,
        terms: Terms,
    ) -> Result<Self, store::Error> {
        let Terms { defaults, stored_max } = terms;
        let table = Table::default();
        if let Some(store) = &store {
            store.each(&mut |record| {
                table.insert(record.digest, Arc::new(Grant::of_record(record, defaults)));
            })?;
        }
        let mut configured = Vec::with_capacity(keys.len());
        for key in keys {
            let grant = Arc::new(Grant::of_config(key, defaults));
            table.insert(Digest::of(key.key.expose_secret().as_bytes()), grant.clone());
            configured.push(grant);
        }
        let open = Arc::new(Grant::open());
        let open = Principal { key_name: open.name.clone(), grant: open };
        let changing = Mutex::new(());
        Ok(Self { mode, open, table, configured, store, defaults, stored_max, changing })
    }

    /// Who the request comes from.
    ///
    /// # Errors
    /// No key, not a Bearer key, a key nobody has.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Principal, Error> {
        match self.mode {
            Mode::Open => Ok(self.open.clone()),
            Mode::Keys => {
                let key = bearer(headers).map_err(Error::Unauthorized)?;
                self.find(key).ok_or(Error::Unauthorized(Credentials::Unknown))
            }
        }
    }

    /// Whose key this is.
    pub fn find(&self, key: &[u8]) -> Option<Principal> {
        let grant = self.table.get(&Digest::of(key))?;
        Some(Principal { key_name: grant.name.clone(), grant })
    }

    pub fn is_empty(&self) -> bool {
        self.mode == Mode::Keys && self.table.is_empty()
    }

    /// Makes a key; it opens the gateway when this returns. Blocks.
    ///
    /// # Errors
    /// The name is taken, there are too many, or the store fails: then there is no such key.
    pub fn create(&self, minted: Minted) -> Result<(Record, SecretString), ManageError> {
        let store = self.store.as_deref().ok_or(ManageError::Open)?;
        let Minted { record, key } = minted;
        if self.configured.iter().any(|grant| *grant.name == *record.name) {
            return Err(store::Error::NameTaken(record.name).into());
        }
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        store.insert(std::slice::from_ref(&record), self.stored_max)?;
        let grant = Grant::of_record(record.clone(), self.defaults);
        self.table.insert(record.digest, Arc::new(grant));
        Ok((record, key))
    }

    /// Revokes a key, by id or name; it opens nothing when this returns. What it has begun may end.
    /// Blocks.
    ///
    /// # Errors
    /// No such key, one of the configuration, or the store fails: then it is still valid.
    pub fn revoke(&self, id_or_name: &str) -> Result<Record, ManageError> {
        let store = self.store.as_deref().ok_or(ManageError::Open)?;
        if self.configured.iter().any(|grant| *grant.name == *id_or_name) {
            return Err(ManageError::Configured(id_or_name.to_owned()));
        }
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let record = store.remove(id_or_name)?;
        self.table.remove_stored(&record.digest);
        Ok(record)
    }

    /// The configuration's keys.
    pub fn configured(&self) -> &[Arc<Grant>] {
        &self.configured
    }

    /// Up to `limit` keys made at run time, from the one after `after`. Blocks.
    ///
    /// # Errors
    /// The store fails.
    pub fn stored(
        &self,
        after: Option<uuid::Uuid>,
        limit: usize,
    ) -> Result<Vec<Record>, ManageError> {
        let store = self.store.as_deref().ok_or(ManageError::Open)?;
        Ok(store.list(after, limit)?)
    }
}

/// The key of `Authorization: Bearer KEY`; the scheme's case does not matter.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&[u8], Credentials> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Credentials::Missing)?.as_bytes();
    if values.next().is_some() {
        return Err(Credentials::Malformed);
    }
    let (scheme, key) = value.split_at_checked(7).ok_or(Credentials::Malformed)?;
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return Err(Credentials::Malformed);
    }
    match key.trim_ascii() {
        [] => Err(Credentials::Missing),
        key => Ok(key),
    }
}
