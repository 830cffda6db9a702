//! Thresholds: of how far an honest answer may lie from its score. A profile is of one set of weights at one
//! precision, written by one engine and scored by one; figures are compared inside a profile alone.
//! Uncalibrated thresholds, not noise, are what honest providers are blamed by: see `calibrate`.

use indexmap::IndexMap;
use openapi::evidence::Provenance;
use openapi::verify::Scored;
use serde::{Deserialize, Serialize};

use super::Sums;

/// Calibrated profiles kept at most; the one set first goes first.
pub const PROFILES_MAX: usize = 4096;

/// What is compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    pub weights_id: String,
    pub quant: String,
    pub kv_dtype: String,
    /// Name and version of the engine that wrote.
    pub writer: String,
    /// And of the one that scored.
    pub scorer: String,
}

/// Within the first of each pair an answer passes, beyond the second it fails.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// D of S1, at most.
    pub distance_pass: f64,
    pub distance_fail: f64,
    /// X of S3, at least.
    pub zero_pass: f64,
    pub zero_fail: f64,
}

/// Made by calibration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    pub key: Key,
    /// The higher one holds.
    pub version: u32,
    pub thresholds: Thresholds,
    /// Honest audits it was made from.
    pub audits: u32,
    /// Whether the next lower quantization passes too; absent: nobody looked.
    pub quant_undetectable: Option<bool>,
}

/// By what answers are judged: calibrated profiles, and the table of the design for all others.
#[derive(Debug, Clone, Default)]
pub struct Profiles {
    calibrated: IndexMap<Key, Profile>,
}

/// How a figure lies to its thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Band {
    Pass,
    Grey,
    Fail,
}

// === impl Key ===

impl Key {
    /// `None`: what was scored is not what was written; there is nothing to compare.
    pub fn of(provenance: &Provenance, scored: &Scored) -> Option<Self> {
        let alike = provenance.weights_id == scored.weights_id
            && provenance.quant == scored.quant
            && provenance.kv_dtype == scored.kv_dtype;
        alike.then(|| Self {
            weights_id: scored.weights_id.clone(),
            quant: scored.quant.clone(),
            kv_dtype: scored.kv_dtype.clone(),
            writer: provenance.engine.clone(),
            scorer: scored.engine.clone(),
        })
    }

    pub fn is_same_engine(&self) -> bool {
        self.writer == self.scorer
    }
}

// === impl Thresholds ===

impl Thresholds {
    pub const SAME_ENGINE: Self =
        Self { distance_pass: 0.05, distance_fail: 0.15, zero_pass: 0.97, zero_fail: 0.90 };
    pub const CROSS_ENGINE: Self =
        Self { distance_pass: 0.10, distance_fail: 0.25, zero_pass: 0.95, zero_fail: 0.88 };

    /// Of S1.
    pub fn distance(&self, sums: &Sums) -> Band {
        let band = |distance| band(distance, self.distance_pass, self.distance_fail);
        sums.distance().map_or(Band::Pass, band)
    }

    /// Of S3; without margins it says nothing.
    pub fn zero(&self, sums: &Sums) -> Band {
        let band = |zero: f64| band(-zero, -self.zero_pass, -self.zero_fail);
        sums.zero().map_or(Band::Pass, band)
    }

    /// The worse of both.
    pub fn of(&self, sums: &Sums) -> Band {
        self.distance(sums).max(self.zero(sums))
    }
}

/// What is no number fails.
fn band(value: f64, pass: f64, fail: f64) -> Band {
    if value <= pass {
        Band::Pass
    } else if value <= fail {
        Band::Grey
    } else {
        Band::Fail
    }
}

// === impl Profiles ===

impl Profiles {
    pub fn thresholds(&self, key: &Key) -> Thresholds {
        match self.calibrated.get(key) {
            Some(profile) => profile.thresholds,
            None if key.is_same_engine() => Thresholds::SAME_ENGINE,
            None => Thresholds::CROSS_ENGINE,
        }
    }

    /// Version 0: the table of the design.
    pub fn version(&self, key: &Key) -> u32 {
        self.calibrated.get(key).map_or(0, |profile| profile.version)
    }

    /// False: a version as high or higher is known, or its thresholds are none.
    pub fn set(&mut self, profile: Profile) -> bool {
        let Thresholds { distance_pass, distance_fail, zero_pass, zero_fail } = profile.thresholds;
        let sound = (0.0..=distance_fail).contains(&distance_pass)
            && (0.0..=zero_pass).contains(&zero_fail)
            && zero_pass <= 1.0
            && distance_fail <= 1.0;
        if !sound || profile.version <= self.version(&profile.key) {
            return false;
        }
        self.calibrated.insert(profile.key.clone(), profile);
        if self.calibrated.len() > PROFILES_MAX {
            self.calibrated.shift_remove_index(0);
        }
        true
    }

    /// To be kept.
    pub fn calibrated(&self) -> impl Iterator<Item = &Profile> {
        self.calibrated.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing::{provenance, scored};

    fn profile(version: u32, distance_pass: f64) -> Profile {
        Profile {
            key: Key::of(&provenance(1), &scored(&[1])).unwrap(),
            version,
            thresholds: Thresholds { distance_pass, ..Thresholds::SAME_ENGINE },
            audits: 200,
            quant_undetectable: None,
        }
    }

    #[test]
    fn what_differs_in_weights_or_precision_is_not_compared() {
        let key = |change: fn(&mut Scored)| {
            let mut scored = scored(&[1]);
            change(&mut scored);
            Key::of(&provenance(1), &scored)
        };
        assert!(key(|_| ()).is_some_and(|key| key.is_same_engine()));
        assert!(key(|it| it.engine = "e/2".to_owned()).is_some_and(|key| !key.is_same_engine()));
        assert_eq!(key(|it| it.weights_id.push('x')), None);
        assert_eq!(key(|it| it.quant.push('x')), None);
        assert_eq!(key(|it| it.kv_dtype.push('x')), None);
    }

    #[test]
    fn a_calibrated_profile_overrides_the_table_and_an_older_one() {
        let mut profiles = Profiles::default();
        let key = profile(1, 0.01).key;
        let cross = Key { scorer: "other".to_owned(), ..key.clone() };
        assert_eq!(profiles.thresholds(&key), Thresholds::SAME_ENGINE);
        assert_eq!(profiles.thresholds(&cross), Thresholds::CROSS_ENGINE);
        assert!(profiles.set(profile(2, 0.01)));
        assert!(!profiles.set(profile(2, 0.02)) && !profiles.set(profile(1, 0.02)));
        assert!(!profiles.set(profile(3, f64::NAN)) && !profiles.set(profile(3, 0.5)));
        assert_eq!((profiles.thresholds(&key).distance_pass, profiles.version(&key)), (0.01, 2));
        assert_eq!(profiles.thresholds(&cross), Thresholds::CROSS_ENGINE);
        let kept = serde_json::to_string(&profiles.calibrated().collect::<Vec<_>>()).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Profile>>(&kept).unwrap(), [profile(2, 0.01)]);
    }

    #[test]
    fn no_number_is_a_fail() {
        assert_eq!(band(f64::NAN, 0.1, 0.2), Band::Fail);
        assert_eq!(
            [0.1, 0.15, 0.2, 0.21].map(|value| band(value, 0.1, 0.2)),
            [Band::Pass, Band::Grey, Band::Grey, Band::Fail]
        );
    }
}
