//! What the client asks of the route beside the model: the members `provider` (OpenRouter's
//! vocabulary and ours) and `verification`, by body or by header. Read and checked here; this file
//! knows no provider and decides nothing.

mod header;
mod object;
mod verification;

use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};

pub use verification::{Delivery, Mode, Verification};

use super::Error;

/// Entries of one list.
const ENTRIES_MAX: usize = 64;
/// Bytes of one name in a list.
const NAME_BYTES_MAX: usize = 256;
/// Bytes of the member, or of the header, as text.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// The `provider` member. What is hard leaves a request unserved rather than served otherwise.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Providers (ids or operators) to try first, in this order.
    pub order: Vec<String>,
    /// Hard: no other providers than these (ids or operators). Empty: any.
    pub only: Vec<String>,
    /// Hard: this provider alone (its id or its operator); by the model's name.
    #[serde(skip)]
    pub pin: Option<String>,
    /// Hard: none of these (ids or operators).
    pub ignore: Vec<String>,
    /// Hard when false: those of `order` alone, or without an `order` one attempt.
    pub allow_fallbacks: bool,
    /// Hard: only providers known to act on every member of the request.
    pub require_parameters: bool,
    /// Hard when `deny`: only providers known to keep nothing for training.
    pub data_collection: DataCollection,
    /// Hard: only providers known to retain nothing at all.
    pub zdr: bool,
    /// Hard: only these quantizations. Empty: any.
    pub quantizations: Vec<String>,
    pub sort: Option<Sort>,
    /// Soft; tokens per second.
    pub preferred_min_throughput: Option<Preference>,
    /// Soft; seconds.
    pub preferred_max_latency: Option<Preference>,
    /// Hard.
    pub max_price: MaxPrice,
    /// Hard: only providers in these regions. Empty: any.
    pub regions: Vec<String>,
    /// Hard: at least this integrity, 0 to 1.
    pub min_reputation: Option<f64>,
    /// Hard: only providers with attested hardware.
    pub attested: bool,
    pub hedge: Hedge,
    /// Dollars per second of waiting that the client would pay to be spared.
    pub value_of_time: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataCollection {
    #[default]
    Allow,
    Deny,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    Price,
    Latency,
    Throughput,
    /// Reliability of tool calls; by the suffix `:exacto` alone.
    #[serde(skip)]
    Exacto,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hedge {
    #[default]
    Auto,
    Off,
    Priority,
}

/// How a request stands beside others that wait; by header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    Low,
    #[default]
    Normal,
    High,
}

/// A bound at percentiles; a bare number is the median's.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Preference {
    Median(f64),
    /// By `p50`, `p75`, `p90`, `p99`.
    Percentiles(BTreeMap<Percentile, f64>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Percentile {
    P50,
    P75,
    P90,
    P99,
}

/// Dollars: per million tokens, and per request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaxPrice {
    pub prompt: Option<f64>,
    pub completion: Option<f64>,
    pub request: Option<f64>,
}

// === impl Policy ===

impl Default for Policy {
    fn default() -> Self {
        Self {
            order: Vec::new(),
            only: Vec::new(),
            pin: None,
            ignore: Vec::new(),
            allow_fallbacks: true,
            require_parameters: false,
            data_collection: DataCollection::Allow,
            zdr: false,
            quantizations: Vec::new(),
            sort: None,
            preferred_min_throughput: None,
            preferred_max_latency: None,
            max_price: MaxPrice::default(),
            regions: Vec::new(),
            min_reputation: None,
            attested: false,
            hedge: Hedge::Auto,
            value_of_time: None,
        }
    }
}

impl Policy {
    /// From the `provider` member of a body, as JSON.
    ///
    /// # Errors
    /// No object, an unknown or doubled member, a value of the wrong type or out of range.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let policy: Self = object::read("provider", text)?;
        policy.checked("provider")
    }

    /// From a header's value: JSON, or `only=a,b; sort=price; max_price.prompt=0.5`. Errors name
    /// `name`.
    ///
    /// # Errors
    /// As [`Self::from_json`].
    pub fn from_header(name: &str, text: &str) -> Result<Self, Error> {
        let policy: Self = header::read(name, text)?;
        policy.checked(name)
    }

    fn checked(mut self, root: &str) -> Result<Self, Error> {
        let lists = [
            ("order", &self.order),
            ("only", &self.only),
            ("ignore", &self.ignore),
            ("quantizations", &self.quantizations),
            ("regions", &self.regions),
        ];
        for (name, list) in lists {
            if list.len() > ENTRIES_MAX {
                return Err(wrong(root, name, &format!("expected at most {ENTRIES_MAX} entries")));
            }
            if list.iter().any(|entry| entry.is_empty() || entry.len() > NAME_BYTES_MAX) {
                let what = format!("expected entries of 1 to {NAME_BYTES_MAX} bytes");
                return Err(wrong(root, name, &what));
            }
        }
        // Said again it says nothing more, and each of an operator's names stands for all of its nodes.
        let mut seen = HashSet::new();
        self.order.retain(|name| seen.insert(name.clone()));
        let MaxPrice { prompt, completion, request } = self.max_price;
        let amounts = [
            ("max_price.prompt", prompt),
            ("max_price.completion", completion),
            ("max_price.request", request),
            ("value_of_time", self.value_of_time),
        ];
        for (name, amount) in amounts {
            if amount.is_some_and(|amount| !(0.0..=1e9).contains(&amount)) {
                return Err(wrong(root, name, "expected a number from 0 to 1e9"));
            }
        }
        if self.min_reputation.is_some_and(|least| !(0.0..=1.0).contains(&least)) {
            return Err(wrong(root, "min_reputation", "expected a number from 0 to 1"));
        }
        let preferences = [
            ("preferred_min_throughput", &self.preferred_min_throughput),
            ("preferred_max_latency", &self.preferred_max_latency),
        ];
        for (name, preference) in preferences {
            if preference.as_ref().is_some_and(|preference| !preference.is_sound()) {
                return Err(wrong(root, name, "expected numbers from 0 to 1e9"));
            }
        }
        Ok(self)
    }
}

// === impl Preference ===

impl Preference {
    fn is_sound(&self) -> bool {
        let is_sound = |number: &f64| (0.0..=1e9).contains(number);
        match self {
            Self::Median(number) => is_sound(number),
            Self::Percentiles(bounds) => bounds.values().all(is_sound),
        }
    }
}

fn wrong(root: &str, member: &str, expected: &str) -> Error {
    let param = format!("{root}.{member}");
    let message = format!("Invalid value for '{param}': {expected}.");
    Error::member(param, message)
}

#[cfg(test)]
mod tests;
