//! Keys and their limits: what a client may ask about its own, and what the admin API makes, lists
//! and revokes. A key itself appears once, in the answer that makes it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a key may use. What is absent or null is unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyLimits {
    pub requests_per_minute: Option<u32>,
    /// Prompt and answer together.
    pub tokens_per_minute: Option<u32>,
    /// Streamed answers at the same time.
    pub concurrent_streams: Option<u32>,
    /// The most a request may ask for as `n`.
    pub choices_max: Option<u32>,
    /// Further providers that one request may have asked because the first is late; 0 for none.
    pub hedges_max: Option<u32>,
    /// Providers that may answer one request, so that their answers are compared.
    pub quorum_max: Option<u32>,
    /// Of requests that say nothing of it, as `x-quorate-verify` has it: `quorum; k=2; n=3`.
    pub verification: Option<String>,
}

/// What a key may reach. A list that is null allows all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyScope {
    /// Names, and patterns that end in `*`.
    pub models: Option<Vec<String>>,
    pub regions: Option<Vec<String>>,
    /// Ids or operators.
    pub providers: Option<Vec<String>>,
}

/// One limit's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Remaining {
    pub limit: u32,
    pub remaining: u32,
    /// Until all of it is there again, in milliseconds.
    pub reset_ms: u64,
}

/// The caller's own key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnKey {
    /// Always `key`.
    pub object: String,
    /// Null for a key of the configuration, and where no key is asked for.
    pub id: Option<String>,
    pub name: String,
    pub limits: KeyLimits,
    pub scope: KeyScope,
    /// Null where it is not limited.
    pub requests: Option<Remaining>,
    /// Null where it is not limited.
    pub tokens: Option<Remaining>,
    /// Streamed answers being sent now.
    pub open_streams: u32,
}

/// A key to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeyRequest {
    /// Unique; shown in logs in place of the key.
    #[schema(required)]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent_streams: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choices_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedges_max: Option<u64>,
    /// Default 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quorum_max: Option<u64>,
    /// As `x-quorate-verify` has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regions: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub providers: Option<Vec<String>>,
}

/// A key as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Key {
    /// Always `key`.
    pub object: String,
    /// Null for a key of the configuration.
    pub id: Option<String>,
    pub name: String,
    /// `config` or `store`.
    pub source: String,
    /// The key's first and last characters; null for a key of the configuration.
    pub hint: Option<String>,
    /// Unix seconds; null for a key of the configuration.
    pub created: Option<i64>,
    pub limits: KeyLimits,
    pub scope: KeyScope,
}

/// A key that was just made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewKey {
    /// The key itself. It is not kept and can't be shown again.
    pub secret: String,
    pub key: Key,
}

/// Without the secret.
impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewKey").field("key", &self.key).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyList {
    /// Always `list`.
    pub object: String,
    pub data: Vec<Key>,
    /// Whether there are more after the last.
    pub has_more: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyRevoked {
    /// Always `key.deleted`.
    pub object: String,
    pub id: String,
    pub name: String,
    /// Always true.
    pub deleted: bool,
}
