//! Every metric of the gateway, by name, in this one file. Label values are enums, so the number of
//! series is fixed when the program is written: no model, key or provider name can become a label.
//! Handles are made once; counting takes no lock but a histogram's own.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use std::fmt::{self, Write as _};
use std::time::Duration;

mod labels;
mod route;
mod trust;

pub use labels::{
    AttemptOutcome, AuditOutcome, CacheOutcome, ConnectionState, Endpoint, HedgeDenial,
    HedgeOutcome, JoinOutcome, Label, Measurement, Outcome, Phase, ReceiptOutcome, ScoreOutcome,
    StatusClass, TokenKind, Verified,
};
pub use route::Route;
pub use trust::Trust;

/// What `/metrics` answers with.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From 1 ms to 10 min.
const REQUEST_BUCKETS_S: [f64; 14] =
    [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0, 600.0];
/// From 10 µs to 100 ms: what the gateway itself adds.
const OVERHEAD_BUCKETS_S: [f64; 12] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.1,
];
/// Time of one token: from 1 ms to 2.5 s.
const TOKEN_BUCKETS_S: [f64; 11] =
    [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
/// Tokens of one answer or prompt.
const TOKENS_BUCKETS: [f64; 11] =
    [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0];

/// The handles. Shared as one `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    /// The handle nearly every request wants, so that it takes no map lookup.
    requests_ok: PerLabel<Endpoint, Counter>,
    pub attempts: PerLabel<AttemptOutcome, Counter>,
    /// Whole requests, head to last byte.
    pub request_seconds: Histogram,
    /// Request head to the first content sent to the client.
    pub ttft_seconds: Histogram,
    /// The gateway's own share of a request.
    pub overhead_seconds: Histogram,
    /// Answers being streamed to clients now.
    pub open_streams: Gauge,
    /// Client connections.
    pub connections: Gauge,
    pub upstream_connections: PerLabel<ConnectionState, Gauge>,
    pub tokens: PerLabel<TokenKind, Counter>,
    /// Events of providers that were not JSON and were dropped.
    pub malformed_events: Counter,
    /// Attempts begun because an earlier one of the same request failed.
    pub failovers: Counter,
    pub route: Route,
    pub trust: Trust,
    /// Requests that asked the cache.
    pub cache: PerLabel<CacheOutcome, Counter>,
    pub receipts: PerLabel<ReceiptOutcome, Counter>,
    /// Models of nodes that this gateway measured.
    pub measurements: PerLabel<Measurement, Counter>,
    /// Failed `accept` calls of the listeners.
    pub accept_errors: Counter,
    /// Clients cut off because they did not read.
    pub slow_clients: Counter,
    /// Nodes that have joined.
    pub nodes: Gauge,
    /// Connections of nodes, joined or not.
    pub node_connections: Gauge,
    pub joins: PerLabel<JoinOutcome, Counter>,
    /// Where the process is in its life: 1 for the phase it is in.
    pub phase: PerLabel<Phase, Gauge>,
    gen_ai: GenAi,
}

/// The same measurements under OpenTelemetry's names.
#[derive(Debug)]
struct GenAi {
    request: Histogram,
    ttft: Histogram,
    time_per_token: Histogram,
    tokens: PerLabel<TokenKind, Histogram>,
}

/// Labels of `quorate_requests_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    endpoint: Endpoint,
    status_class: StatusClass,
    outcome: Outcome,
}

/// One handle for each value of a label.
#[derive(Debug)]
pub struct PerLabel<L, M> {
    first: M,
    rest: Vec<M>,
    label: std::marker::PhantomData<fn(L)>,
}

/// Holds a gauge up by one, until it is dropped.
#[derive(Debug)]
pub struct Held(Gauge);

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let r = &mut registry;
        let requests = Family::<RequestLabels, Counter>::default();
        let requests_ok = PerLabel::new(|endpoint| {
            let (status_class, outcome) = (StatusClass::Success, Outcome::Ok);
            requests.get_or_create_owned(&RequestLabels { endpoint, status_class, outcome })
        });
        register(r, "quorate_requests", "Requests answered", &requests);
        Self {
            requests,
            requests_ok,
            attempts: family(r, "quorate_attempts", "Attempts at providers", "outcome"),
            request_seconds: histogram(
                r,
                "quorate_request_seconds",
                "Request head to last byte",
                &REQUEST_BUCKETS_S,
            ),
            ttft_seconds: histogram(
                r,
                "quorate_ttft_seconds",
                "Request head to first content",
                &REQUEST_BUCKETS_S,
            ),
            overhead_seconds: histogram(
                r,
                "quorate_overhead_seconds",
                "The gateway's own share of a request",
                &OVERHEAD_BUCKETS_S,
            ),
            open_streams: single(r, "quorate_open_streams", "Answers being streamed now"),
            connections: single(r, "quorate_connections", "Client connections"),
            upstream_connections: family(
                r,
                "quorate_upstream_connections",
                "Connections to providers",
                "state",
            ),
            tokens: family(r, "quorate_tokens", "Tokens of answered requests", "kind"),
            malformed_events: single(
                r,
                "quorate_malformed_events",
                "Provider events that were not JSON and were dropped",
            ),
            failovers: single(r, "quorate_failovers", "Attempts begun after another failed"),
            route: Route::new(r),
            trust: Trust::new(r),
            cache: family(r, "quorate_cache", "Requests that asked the cache", "outcome"),
            receipts: family(r, "quorate_receipts", "Receipts of answers", "outcome"),
            measurements: family(r, "quorate_measurements", "Models measured on nodes", "outcome"),
            accept_errors: single(r, "quorate_accept_errors", "Failed accepts of the listeners"),
            slow_clients: single(
                r,
                "quorate_slow_clients",
                "Clients cut off because they did not read",
            ),
            nodes: single(r, "quorate_nodes", "Nodes that have joined"),
            node_connections: single(r, "quorate_node_connections", "Connections of nodes"),
            joins: family(r, "quorate_joins", "Nodes that wanted to join", "outcome"),
            phase: family(r, "quorate_phase", "1 for the phase the process is in", "phase"),
            gen_ai: GenAi::new(r),
            registry,
        }
    }

    /// The text of a scrape.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        // Writing into a String can't fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }

    /// Counts one answered request. `status` is what the client saw; 499 when it left.
    pub fn count_request(&self, endpoint: Endpoint, status: u16, outcome: Outcome) {
        let status_class = StatusClass::of(status);
        if (status_class, outcome) == (StatusClass::Success, Outcome::Ok) {
            self.requests_ok.get(endpoint).inc();
        } else {
            self.requests.get_or_create(&RequestLabels { endpoint, status_class, outcome }).inc();
        }
    }

    /// The time of a whole completion, first byte in to last byte out.
    pub fn observe_completion(&self, took: Duration) {
        self.request_seconds.observe(took.as_secs_f64());
        self.gen_ai.request.observe(took.as_secs_f64());
    }

    /// Request head to first content.
    pub fn observe_ttft(&self, took: Duration) {
        self.ttft_seconds.observe(took.as_secs_f64());
        self.gen_ai.ttft.observe(took.as_secs_f64());
    }

    /// Tokens of one finished answer; `generation` is the time from its first content to its end.
    pub fn observe_usage(&self, usage: &openapi::usage::Usage, generation: Duration) {
        for (kind, tokens) in [
            (TokenKind::Prompt, usage.prompt_tokens),
            (TokenKind::Completion, usage.completion_tokens),
        ] {
            // A provider's word: one wild number must not wrap the counter around.
            let tokens = tokens.min(u64::from(u32::MAX));
            self.tokens.get(kind).inc_by(tokens);
            self.gen_ai.tokens.get(kind).observe(tokens as f64);
        }
        if usage.completion_tokens > 1 {
            let intervals = (usage.completion_tokens - 1) as f64;
            self.gen_ai.time_per_token.observe(generation.as_secs_f64() / intervals);
        }
    }

    /// Says which phase the process is in.
    pub fn set_phase(&self, now: Phase) {
        for &phase in Phase::ALL {
            self.phase.get(phase).set(i64::from(phase == now));
        }
    }
}

// === impl GenAi ===

impl GenAi {
    fn new(r: &mut Registry) -> Self {
        Self {
            request: histogram(
                r,
                "gen_ai_server_request_duration",
                "Whole completions, seconds",
                &REQUEST_BUCKETS_S,
            ),
            ttft: histogram(
                r,
                "gen_ai_server_time_to_first_token",
                "Request to first token, seconds",
                &REQUEST_BUCKETS_S,
            ),
            time_per_token: histogram(
                r,
                "gen_ai_server_time_per_output_token",
                "Time per token after the first, seconds",
                &TOKEN_BUCKETS_S,
            ),
            tokens: usage(r),
        }
    }
}

fn register<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: &M) {
    registry.register(name, help, metric.clone());
}

fn single<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    register(registry, name, help, &metric);
    metric
}

fn histogram(registry: &mut Registry, name: &str, help: &str, buckets: &[f64]) -> Histogram {
    let metric = Histogram::new(buckets.iter().copied());
    register(registry, name, help, &metric);
    metric
}

fn family<L, M>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    label: &'static str,
) -> PerLabel<L, M>
where
    L: Label,
    M: Metric + TypedMetric + Clone + Default,
{
    let family = Family::<Vec<(&'static str, &'static str)>, M>::default();
    register(registry, name, help, &family);
    PerLabel::new(|value: L| family.get_or_create_owned(&vec![(label, value.as_str())]))
}

/// OpenTelemetry's token usage: its label has a name and values of its own.
fn usage(registry: &mut Registry) -> PerLabel<TokenKind, Histogram> {
    let family =
        Family::<Vec<(&'static str, &'static str)>, Histogram>::new_with_constructor(|| {
            Histogram::new(TOKENS_BUCKETS)
        });
    register(registry, "gen_ai_client_token_usage", "Tokens a request", &family);
    PerLabel::new(|kind| {
        let value = match kind {
            TokenKind::Prompt => "input",
            TokenKind::Completion => "output",
        };
        family.get_or_create_owned(&vec![("gen_ai_token_type", value)])
    })
}

// === impl PerLabel ===

impl<L: Label, M> PerLabel<L, M> {
    fn new(make: impl Fn(L) -> M) -> Self {
        Self {
            first: make(L::FIRST),
            rest: L::ALL.iter().skip(1).map(|&value| make(value)).collect(),
            label: std::marker::PhantomData,
        }
    }

    pub fn get(&self, value: L) -> &M {
        let at = value.index().checked_sub(1);
        at.and_then(|at| self.rest.get(at)).unwrap_or(&self.first)
    }
}

// === impl Held ===

impl Held {
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Writes a label's value; every label type is an enum of [`labels`].
fn encode_label(value: &str, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
    encoder.write_str(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_has_its_own_handle() {
        let metrics = Metrics::new();
        for (times, &outcome) in AttemptOutcome::ALL.iter().enumerate() {
            metrics.attempts.get(outcome).inc_by(times as u64 + 1);
        }
        let text = metrics.encode();
        for (times, outcome) in AttemptOutcome::ALL.iter().enumerate() {
            let line =
                format!("quorate_attempts_total{{outcome=\"{}\"}} {}", outcome.as_str(), times + 1);
            assert!(text.contains(&line), "{line} in {text}");
        }
    }

    #[test]
    fn requests_are_counted_by_endpoint_class_and_outcome() {
        let metrics = Metrics::new();
        metrics.count_request(Endpoint::Chat, 200, Outcome::Ok);
        metrics.count_request(Endpoint::Chat, 200, Outcome::Ok);
        metrics.count_request(Endpoint::Chat, 200, Outcome::Truncated);
        metrics.count_request(Endpoint::Models, 401, Outcome::Unauthorized);
        let text = metrics.encode();
        for line in [
            r#"quorate_requests_total{endpoint="chat",status_class="2xx",outcome="ok"} 2"#,
            r#"quorate_requests_total{endpoint="chat",status_class="2xx",outcome="truncated"} 1"#,
            r#"quorate_requests_total{endpoint="models",status_class="4xx",outcome="unauthorized"} 1"#,
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn a_held_gauge_falls_when_it_is_let_go() {
        let metrics = Metrics::new();
        let held = Held::new(&metrics.open_streams);
        assert_eq!(metrics.open_streams.get(), 1);
        drop(held);
        assert_eq!(metrics.open_streams.get(), 0);
    }
}
