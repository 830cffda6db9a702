//! What one key may use, and what it has used of it.

use secrecy::ExposeSecret as _;
use std::sync::Arc;
use uuid::Uuid;

use super::{Digest, Scope};
use crate::config::Key;
use crate::limit::{Account, Rules};
use crate::store::Record;

/// Lives as long as a request of the key does, also after the key was revoked.
#[derive(Debug)]
pub struct Grant {
    /// Of a key made at run time.
    pub id: Option<Uuid>,
    /// Unique.
    pub name: Arc<str>,
    pub source: Source,
    /// The key's; absent where none is asked for. Receipts know their owner by it.
    pub digest: Option<Digest>,
    pub scope: Scope,
    /// Limits, and what is left of them.
    pub account: Arc<Account>,
}

/// Where a key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Config,
    Store,
    /// No key: the gateway asks for none.
    Open,
}

impl Grant {
    pub(super) fn of_config(key: &Key, defaults: Rules) -> Self {
        Self {
            id: None,
            name: key.name.as_str().into(),
            source: Source::Config,
            digest: Some(Digest::of(key.key.expose_secret().as_bytes())),
            scope: key.scope.clone(),
            account: Arc::new(Account::new(key.rules.or(defaults))),
        }
    }

    pub(super) fn of_record(record: Record, defaults: Rules) -> Self {
        Self {
            id: Some(record.id),
            name: record.name.into(),
            source: Source::Store,
            digest: Some(record.digest),
            scope: record.scope,
            account: Arc::new(Account::new(record.rules.or(defaults))),
        }
    }

    /// What nobody's key limits.
    pub(crate) fn open() -> Self {
        Self {
            id: None,
            name: "open".into(),
            source: Source::Open,
            digest: None,
            scope: Scope::default(),
            account: Arc::new(Account::new(Rules::default())),
        }
    }
}
