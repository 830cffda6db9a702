//! `/v1/verify/…`: what other nodes wrote is scored here, and what this one committed itself to is shown.
//! Open to whom all work is open: to gateways by their lease.

mod budget;
pub(super) mod evidence;
pub(super) mod info;
pub(super) mod score;

use crate::kept::Kept;
use budget::Desk;
use openapi::sign::SecretKey;
use std::sync::Arc;

/// What a node stands by its word with.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The node's own; absent where no gateway is configured.
    pub(super) key: Option<Arc<SecretKey>>,
    pub(super) kept: Arc<Kept>,
    pub(super) desk: Arc<Desk>,
}

// === impl Trust ===

impl Trust {
    pub fn new(key: Option<Arc<SecretKey>>) -> Self {
        Self { key, ..Self::default() }
    }
}
