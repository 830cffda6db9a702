//! Every metric name of the provider. Scraped as OpenMetrics text at `/metrics`.

use crate::admission::Admission;
use crate::counters::Counters;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const PREFIX: &str = "quorate_provider";
/// What `/metrics` answers with.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Handles that request code updates, and the registry that prints them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    http_requests: Family<Labels, Counter>,
    /// Connections open now.
    pub connections: Gauge,
}

/// `route` is a route's template, never a path a client made up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    route: String,
    status: u16,
}

impl Metrics {
    /// The counters and the queue are read at each scrape.
    pub fn new(counters: Arc<Counters>, admission: Admission) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let http_requests = Family::default();
        let connections = Gauge::default();
        registry.register(
            "http_requests",
            "HTTP requests answered, by route and status",
            http_requests.clone(),
        );
        registry.register("connections", "Connections open now", connections.clone());
        registry.register_collector(Box::new(Work { counters, admission }));
        Self { registry, http_requests, connections }
    }

    /// Counts one answered request.
    pub fn answered(&self, route: &str, status: u16) {
        self.http_requests.get_or_create(&Labels { route: route.to_owned(), status }).inc();
    }

    /// The text of `/metrics`.
    pub fn scrape(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[derive(Debug)]
struct Work {
    counters: Arc<Counters>,
    admission: Admission,
}

impl Collector for Work {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let counters = &self.counters;
        let totals: [(&str, &str, &AtomicU64); 5] = [
            ("tokens_generated", "Tokens sampled", &counters.tokens_generated),
            ("jobs_started", "Jobs the engine began", &counters.jobs_started),
            ("jobs_finished", "Jobs that came to their own end", &counters.jobs_finished),
            ("jobs_cancelled", "Jobs whose caller left first", &counters.jobs_cancelled),
            ("engine_restarts", "Restarts of the inference engine", &counters.engine_restarts),
        ];
        for (name, help, value) in totals {
            let metric = ConstCounter::new(value.load(Relaxed));
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        let gauges = [
            ("queue_depth", "Jobs that wait for their turn", self.admission.waiting()),
            ("running_jobs", "Jobs that hold a permit", self.admission.running()),
        ];
        for (name, help, value) in gauges {
            let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        Ok(())
    }
}
