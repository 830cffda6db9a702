//! `[receipts]`: whether receipts are made, and how long they are kept.

use serde::Deserialize;
use std::ops::RangeInclusive;

use super::problem::Problems;

/// What clients keep of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipts {
    pub enabled: bool,
    /// The oldest go beyond so many.
    pub kept: u64,
    /// An older one goes.
    pub kept_days: u64,
    /// That wait to be written; a further one is dropped.
    pub queued: usize,
    /// How often the signing key is replaced; 0: never by itself.
    pub rotate_days: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawReceipts {
    enabled: Option<bool>,
    kept: Option<u64>,
    kept_days: Option<u64>,
    queued: Option<u64>,
    rotate_days: Option<u64>,
}

impl Default for Receipts {
    fn default() -> Self {
        Self { enabled: true, kept: 200_000, kept_days: 90, queued: 4096, rotate_days: 90 }
    }
}

impl RawReceipts {
    pub(super) fn check(&self, problems: &mut Problems) -> Receipts {
        let defaults = Receipts::default();
        let mut within =
            |name: &str, value: Option<u64>, default: u64, range: RangeInclusive<u64>| {
                let value = value.unwrap_or(default);
                if !range.contains(&value) {
                    let (min, max) = (range.start(), range.end());
                    problems.add(
                        format!("receipts.{name}"),
                        format!("{value} is not between {min} and {max}"),
                    );
                }
                value
            };
        let kept = within("kept", self.kept, defaults.kept, 1..=1_000_000_000);
        let kept_days = within("kept_days", self.kept_days, defaults.kept_days, 1..=36_500);
        let queued = within("queued", self.queued, defaults.queued as u64, 1..=1_000_000);
        let rotate_days = within("rotate_days", self.rotate_days, defaults.rotate_days, 0..=36_500);
        Receipts {
            enabled: self.enabled.unwrap_or(defaults.enabled),
            kept,
            kept_days,
            queued: usize::try_from(queued).unwrap_or(defaults.queued),
            rotate_days,
        }
    }
}
