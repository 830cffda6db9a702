//! What checks of answers come to.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{
    AuditOutcome, PerLabel, REQUEST_BUCKETS_S, ScoreOutcome, Verified, family, histogram, single,
};

#[derive(Debug)]
pub struct Trust {
    pub audits: PerLabel<AuditOutcome, Counter>,
    pub scores: PerLabel<ScoreOutcome, Counter>,
    pub verifications: PerLabel<Verified, Counter>,
    /// From the answer's end to the verdict.
    pub audit_seconds: Histogram,
    /// Answers that wait to be checked, or are.
    pub under_way: Gauge,
    /// Nodes sent away for what audits showed.
    pub quarantines: Counter,
}

impl Trust {
    pub(super) fn new(r: &mut Registry) -> Self {
        Self {
            audits: family(r, "quorate_audits", "Answers drawn to be checked", "outcome"),
            scores: family(
                r,
                "quorate_audit_scores",
                "Scores of answers that nodes were asked for",
                "outcome",
            ),
            verifications: family(
                r,
                "quorate_verifications",
                "Answers verified by a quorum or by scorers while their clients waited",
                "outcome",
            ),
            audit_seconds: histogram(
                r,
                "quorate_audit_seconds",
                "From the end of an answer to the verdict on it",
                &REQUEST_BUCKETS_S,
            ),
            under_way: single(
                r,
                "quorate_audits_under_way",
                "Answers waiting to be checked, or being",
            ),
            quarantines: single(r, "quorate_quarantines", "Nodes sent away for what audits showed"),
        }
    }
}
