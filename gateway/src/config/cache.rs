//! `[cache]`: whether answers are kept, how many bytes of them, and for how long.

use serde::Deserialize;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::problem::Problems;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const DAY_MS: u64 = 24 * 3600 * 1000;

/// The response cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cache {
    /// Off by default: requests that ask for it are served without.
    pub enabled: bool,
    /// Of all answers together; also of those that are being recorded.
    pub bytes: u64,
    /// A longer answer is not kept.
    pub entry_bytes: u64,
    /// An older answer is asked for again.
    pub ttl: Duration,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCache {
    enabled: bool,
    bytes: Option<u64>,
    entry_bytes: Option<u64>,
    ttl_ms: Option<u64>,
}

impl Default for Cache {
    fn default() -> Self {
        Self { enabled: false, bytes: 256 * MIB, entry_bytes: MIB, ttl: Duration::from_secs(3600) }
    }
}

impl RawCache {
    pub(super) fn check(&self, problems: &mut Problems) -> Cache {
        let defaults = Cache::default();
        let mut within =
            |name: &str, value: Option<u64>, default: u64, range: RangeInclusive<u64>| {
                let value = value.unwrap_or(default);
                if !range.contains(&value) {
                    let (min, max) = (range.start(), range.end());
                    problems.add(
                        format!("cache.{name}"),
                        format!("{value} is not between {min} and {max}"),
                    );
                }
                value
            };
        let bytes = within("bytes", self.bytes, defaults.bytes, 64 * KIB..=1024 * 1024 * MIB);
        let entry_bytes =
            within("entry_bytes", self.entry_bytes, defaults.entry_bytes, KIB..=1024 * MIB);
        let ttl_ms = u64::try_from(defaults.ttl.as_millis()).unwrap_or(DAY_MS);
        let ttl = Duration::from_millis(within("ttl_ms", self.ttl_ms, ttl_ms, 1..=365 * DAY_MS));
        if entry_bytes > bytes {
            problems.add("cache.entry_bytes", "must not be larger than cache.bytes");
        }
        Cache { enabled: self.enabled, bytes, entry_bytes, ttl }
    }
}
