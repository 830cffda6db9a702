//! The limits and lists of a key as people write them, in the configuration, on the command line and
//! to the admin API: checked in one place, every fault told.

use openapi::keys::KeyRequest;
use std::num::NonZeroU32;

use super::Scope;
use crate::limit::{RATE_MAX, Rules};
use crate::request::Verification;

/// `n` can't be more anyway.
const CHOICES_MAX: u32 = 128;
const STREAMS_MAX: u32 = 1_000_000;
/// No request is hedged more often anyway.
const HEDGES_MAX: u32 = 2;
/// No request asks for more anyway.
const QUORUM_MAX: u32 = 16;
/// Entries of one list.
const ENTRIES_MAX: usize = 64;
const ENTRY_BYTES_MAX: usize = 256;
const NAME_BYTES_MAX: usize = 128;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    pub requests_per_minute: Option<u64>,
    pub tokens_per_minute: Option<u64>,
    pub concurrent_streams: Option<u64>,
    pub choices_max: Option<u64>,
    pub hedges_max: Option<u64>,
    pub quorum_max: Option<u64>,
    /// As a header has it.
    pub verification: Option<String>,
    pub models: Option<Vec<String>>,
    pub regions: Option<Vec<String>>,
    pub providers: Option<Vec<String>>,
}

impl From<KeyRequest> for Draft {
    fn from(request: KeyRequest) -> Self {
        Self {
            requests_per_minute: request.requests_per_minute,
            tokens_per_minute: request.tokens_per_minute,
            concurrent_streams: request.concurrent_streams,
            choices_max: request.choices_max,
            hedges_max: request.hedges_max,
            quorum_max: request.quorum_max,
            verification: request.verification,
            models: request.models,
            regions: request.regions,
            providers: request.providers,
        }
    }
}

impl Draft {
    /// Tells `fault` of every member that can't be used, by its name.
    pub fn check(self, fault: &mut dyn FnMut(&'static str, String)) -> (Rules, Scope) {
        let mut number = |name, value: Option<u64>, max: u32| {
            let value = value?;
            let number = u32::try_from(value).ok().filter(|number| *number <= max);
            let number = number.and_then(NonZeroU32::new);
            if number.is_none() {
                fault(name, format!("{value} is not between 1 and {max}"));
            }
            number
        };
        let rules = Rules {
            hedges_max: None,
            quorum_max: None,
            verification: None,
            requests_per_minute: number("requests_per_minute", self.requests_per_minute, RATE_MAX),
            tokens_per_minute: number("tokens_per_minute", self.tokens_per_minute, RATE_MAX),
            concurrent_streams: number("concurrent_streams", self.concurrent_streams, STREAMS_MAX),
            choices_max: number("choices_max", self.choices_max, CHOICES_MAX),
        };
        let hedges_max = self.hedges_max.map(|value| u32::try_from(value).unwrap_or(u32::MAX));
        if let Some(value) = hedges_max.filter(|value| *value > HEDGES_MAX) {
            fault("hedges_max", format!("{value} is not between 0 and {HEDGES_MAX}"));
        }
        let quorum_max = self.quorum_max.map(|value| u32::try_from(value).unwrap_or(u32::MAX));
        if let Some(value) = quorum_max.filter(|value| *value > QUORUM_MAX) {
            fault("quorum_max", format!("{value} is not between 0 and {QUORUM_MAX}"));
        }
        let verification = self.verification.as_deref();
        let verification = match verification
            .map(|text| Verification::from_header("verification", text))
            .transpose()
        {
            Ok(verification) => verification,
            Err(error) => {
                fault("verification", error.message);
                None
            }
        };
        let rules = Rules { hedges_max, quorum_max, verification, ..rules };
        for (name, list) in
            [("models", &self.models), ("regions", &self.regions), ("providers", &self.providers)]
        {
            if let Some(what) = list.as_deref().and_then(|list| wrong(list, name == "models")) {
                fault(name, what);
            }
        }
        (rules, Scope::new(self.models, self.regions, self.providers))
    }
}

/// What is wrong with a list.
fn wrong(list: &[String], has_patterns: bool) -> Option<String> {
    if list.is_empty() {
        return Some("is empty, and would allow nothing; leave it out to allow all".to_owned());
    }
    if list.len() > ENTRIES_MAX {
        return Some(format!("has more than {ENTRIES_MAX} entries"));
    }
    list.iter().find_map(|entry| {
        if !is_text(entry, ENTRY_BYTES_MAX) {
            return Some(format!("holds an entry that is not 1 to {ENTRY_BYTES_MAX} plain bytes"));
        }
        let stars = entry.matches('*').count();
        let is_pattern = has_patterns && stars == 1 && entry.ends_with('*');
        (stars > 0 && !is_pattern).then(|| {
            let may = if has_patterns { "at the end of a model's name" } else { "for models" };
            format!("{entry:?}: a * may only stand {may}")
        })
    })
}

/// What is wrong with a key's name.
pub fn wrong_name(name: &str) -> Option<String> {
    if !is_text(name, NAME_BYTES_MAX) {
        return Some(format!("must be 1 to {NAME_BYTES_MAX} bytes without control characters"));
    }
    super::read_id(name).map(|_| "must not look like a key's id".to_owned())
}

fn is_text(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len())
        && !text.chars().any(char::is_control)
        && text.trim().len() == text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(draft: Draft) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        draft.check(&mut |name, what| faults.push((name, what)));
        faults
    }

    #[test]
    fn every_fault_is_told() {
        let list = |entries: &[&str]| Some(entries.iter().map(|&e| e.to_owned()).collect());
        let found = faults(Draft {
            requests_per_minute: Some(0),
            tokens_per_minute: Some(u64::MAX),
            concurrent_streams: Some(1_000_001),
            choices_max: Some(129),
            hedges_max: Some(3),
            quorum_max: Some(17),
            verification: Some("quorum; k=4; n=3".to_owned()),
            models: list(&["a*b"]),
            regions: list(&["eu*"]),
            providers: list(&[]),
        });
        let names: Vec<_> = found.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            [
                "requests_per_minute",
                "tokens_per_minute",
                "concurrent_streams",
                "choices_max",
                "hedges_max",
                "quorum_max",
                "verification",
                "models",
                "regions",
                "providers"
            ]
        );
        assert_eq!(faults(Draft { models: list(&["*", "a/*", "b"]), ..Draft::default() }), []);
        for wrong in [list(&["**"]), list(&[" a"]), list(&["a\n"]), list(&["x"; 65])] {
            assert_eq!(faults(Draft { models: wrong, ..Draft::default() }).len(), 1);
        }
    }

    #[test]
    fn a_name_is_plain_and_no_id() {
        for name in ["a", "Bench 7", "ключ", "key_1"] {
            assert_eq!(wrong_name(name), None, "{name}");
        }
        let id = crate::auth::show_id(uuid::Uuid::from_u128(1));
        for name in ["", " a", "a\tb", &"x".repeat(129), &id] {
            assert!(wrong_name(name).is_some(), "{name}");
        }
    }
}
