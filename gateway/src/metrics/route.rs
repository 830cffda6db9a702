//! What the route does beyond the first attempt of a request, and whom it leaves alone.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{HedgeDenial, HedgeOutcome, PerLabel, REQUEST_BUCKETS_S, family, histogram, single};

#[derive(Debug)]
pub struct Route {
    /// Second attempts beside late ones.
    pub hedges: PerLabel<HedgeOutcome, Counter>,
    pub hedges_denied: PerLabel<HedgeDenial, Counter>,
    /// Attempts at providers that had been ejected.
    pub probes: Counter,
    /// Providers that were ejected after failures.
    pub ejections: Counter,
    /// Of providers and models: ejected now.
    pub ejected: Gauge,
    /// Failed requests that were not tried again, since too many were.
    pub retries_denied: Counter,
    /// Requests that wait for a provider with room.
    pub queued: Gauge,
    /// How long they waited.
    pub queue_seconds: Histogram,
    /// Requests that were not let wait, or not any longer.
    pub queue_shed: Counter,
}

impl Route {
    pub(super) fn new(r: &mut Registry) -> Self {
        Self {
            hedges: family(r, "quorate_hedges", "Second attempts beside late ones", "outcome"),
            hedges_denied: family(
                r,
                "quorate_hedges_denied",
                "Late attempts beside which nobody was asked",
                "reason",
            ),
            probes: single(r, "quorate_probes", "Attempts at providers that had been ejected"),
            ejections: single(r, "quorate_ejections", "Providers ejected after failures"),
            ejected: single(r, "quorate_ejected", "Providers ejected now, by model"),
            retries_denied: single(
                r,
                "quorate_retries_denied",
                "Failed requests not tried again, since too many were",
            ),
            queued: single(r, "quorate_queued", "Requests that wait for a provider with room"),
            queue_seconds: histogram(
                r,
                "quorate_queue_seconds",
                "Waits for a provider with room",
                &REQUEST_BUCKETS_S,
            ),
            queue_shed: single(
                r,
                "quorate_queue_shed",
                "Requests not let wait for room, or not any longer",
            ),
        }
    }
}
