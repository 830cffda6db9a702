//! `[audit]`: how many answers are checked after the fact, and what that may take.

use serde::Deserialize;

use super::problem::Problems;

/// Checks of answers by other nodes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Audit {
    pub enabled: bool,
    /// Share of a trusted node's answers that are checked all the same.
    pub rate_min: f64,
    /// Of a new node so many answers are all checked.
    pub newcomer_answers: u64,
    /// Answers that are checked at once; as many as this again wait 32 times over, further ones are let go.
    pub at_once: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAudit {
    enabled: Option<bool>,
    rate_min: Option<f64>,
    newcomer_answers: Option<u64>,
    at_once: Option<u64>,
}

const NEWCOMER_MAX: u64 = 10_000;
const AT_ONCE_MAX: u64 = 256;

// === impl Audit ===

impl Default for Audit {
    fn default() -> Self {
        Self { enabled: true, rate_min: 0.02, newcomer_answers: 30, at_once: 4 }
    }
}

// === impl RawAudit ===

impl RawAudit {
    pub(super) fn check(&self, problems: &mut Problems) -> Audit {
        let defaults = Audit::default();
        let rate_min = self.rate_min.unwrap_or(defaults.rate_min);
        if !(0.0..=1.0).contains(&rate_min) {
            problems.add("audit.rate_min", format!("{rate_min} is not between 0 and 1"));
        }
        let newcomer_answers = self.newcomer_answers.unwrap_or(defaults.newcomer_answers);
        if newcomer_answers > NEWCOMER_MAX {
            let what = format!("{newcomer_answers} is more than {NEWCOMER_MAX}");
            problems.add("audit.newcomer_answers", what);
        }
        let at_once = self.at_once.unwrap_or(defaults.at_once as u64);
        if !(1..=AT_ONCE_MAX).contains(&at_once) {
            let what = format!("{at_once} is not between 1 and {AT_ONCE_MAX}");
            problems.add("audit.at_once", what);
        }
        Audit {
            enabled: self.enabled.unwrap_or(defaults.enabled),
            rate_min,
            newcomer_answers,
            at_once: usize::try_from(at_once).unwrap_or(defaults.at_once),
        }
    }
}
