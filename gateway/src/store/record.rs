//! One kept key, and its text in the store. An unknown member is refused, never ignored: a limit
//! that a later version wrote must not be lost in an earlier one.

use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use uuid::Uuid;

use crate::auth::{Digest, Scope};
use crate::limit::Rules;
use crate::request::Verification;

/// All that is known of a key but the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Version 7: ids order by time.
    pub id: Uuid,
    pub digest: Digest,
    pub name: String,
    /// The key's first and last characters, for people to tell keys apart.
    pub hint: String,
    /// Unix seconds.
    pub created: i64,
    pub rules: Rules,
    pub scope: Scope,
}

/// As it is written. The id is its place in the store.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    name: String,
    /// Hex.
    digest: String,
    hint: String,
    created: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requests_per_minute: Option<NonZeroU32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens_per_minute: Option<NonZeroU32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    concurrent_streams: Option<NonZeroU32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    choices_max: Option<NonZeroU32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hedges_max: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quorum_max: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verification: Option<Verification>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    models: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    regions: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    providers: Option<Vec<String>>,
}

impl Record {
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let rules = &self.rules;
        let list = |list: Option<&[String]>| list.map(<[String]>::to_vec);
        serde_json::to_vec(&Stored {
            name: self.name.clone(),
            digest: hex::encode(self.digest.as_bytes()),
            hint: self.hint.clone(),
            created: self.created,
            requests_per_minute: rules.requests_per_minute,
            tokens_per_minute: rules.tokens_per_minute,
            concurrent_streams: rules.concurrent_streams,
            choices_max: rules.choices_max,
            hedges_max: rules.hedges_max,
            quorum_max: rules.quorum_max,
            verification: rules.verification,
            models: list(self.scope.models()),
            regions: list(self.scope.regions()),
            providers: list(self.scope.providers()),
        })
    }

    pub(super) fn from_bytes(id: Uuid, bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let stored: Stored = serde_json::from_slice(bytes)?;
        let mut digest = [0; 32];
        hex::decode_to_slice(&stored.digest, &mut digest).map_err(serde::de::Error::custom)?;
        Ok(Self {
            id,
            digest: Digest::from(digest),
            name: stored.name,
            hint: stored.hint,
            created: stored.created,
            rules: Rules {
                requests_per_minute: stored.requests_per_minute,
                tokens_per_minute: stored.tokens_per_minute,
                concurrent_streams: stored.concurrent_streams,
                choices_max: stored.choices_max,
                hedges_max: stored.hedges_max,
                quorum_max: stored.quorum_max,
                verification: stored.verification,
            },
            scope: Scope::new(stored.models, stored.regions, stored.providers),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written_and_an_unknown_limit_is_not_ignored() {
        let record = Record {
            id: Uuid::from_u128(7),
            digest: Digest::of(b"qk_secret"),
            name: "bench".to_owned(),
            hint: "qk_s…t".to_owned(),
            created: 1_767_225_600,
            rules: Rules {
                tokens_per_minute: NonZeroU32::new(5),
                hedges_max: Some(0),
                quorum_max: Some(3),
                verification: Some(Verification { strict: true, ..Verification::default() }),
                ..Rules::default()
            },
            scope: Scope::new(Some(vec!["m*".to_owned()]), None, Some(Vec::new())),
        };
        let bytes = record.to_bytes().unwrap();
        assert_eq!(Record::from_bytes(record.id, &bytes).unwrap(), record);
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.contains("qk_secret"), "{text}");
        let later = text.replacen('{', r#"{"per_hour":3,"#, 1);
        assert!(Record::from_bytes(record.id, later.as_bytes()).is_err());
    }
}
