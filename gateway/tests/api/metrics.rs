//! What `/metrics` shows is what METRICS.md documents, name by name and label by label.

use axum::body::Body;
use gateway::metrics::{
    AttemptOutcome, CacheOutcome, ConnectionState, Endpoint, HedgeDenial, HedgeOutcome,
    JoinOutcome, Label, Measurement, Outcome, Phase, StatusClass, TokenKind,
};
use http::Method;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{ask, gateway, get, request};

const DOCUMENT: &str = include_str!("../../METRICS.md");

#[tokio::test]
async fn the_scraped_names_are_the_documented_ones() {
    let gateway = gateway("");
    let request = request(Method::GET, "/metrics").body(Body::empty()).expect("a request");
    let answer = ask(&gateway.admin, request).await;
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    assert!(answer.body.ends_with("# EOF\n"), "a scrape is whole");
    let scraped: BTreeSet<String> = answer
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|rest| match rest.split_once(' ').expect("a type") {
            (name, "counter") => format!("{name}_total"),
            (name, _) => name.to_owned(),
        })
        .collect();
    let documented: BTreeSet<String> = DOCUMENT
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|rest| rest.split(['`', '{']).next())
        .map(str::to_owned)
        .collect();
    assert_eq!(scraped, documented);
}

#[test]
fn every_label_value_is_documented() {
    fn values<L: Label>() -> impl Iterator<Item = &'static str> {
        L::ALL.iter().map(|value| value.as_str())
    }
    let all = values::<Endpoint>()
        .chain(values::<StatusClass>())
        .chain(values::<Outcome>())
        .chain(values::<AttemptOutcome>())
        .chain(values::<HedgeOutcome>())
        .chain(values::<HedgeDenial>())
        .chain(values::<CacheOutcome>())
        .chain(values::<Measurement>())
        .chain(values::<ConnectionState>())
        .chain(values::<TokenKind>())
        .chain(values::<JoinOutcome>())
        .chain(values::<Phase>());
    for value in all {
        assert!(DOCUMENT.contains(&format!("`{value}`")), "{value} is not in METRICS.md");
    }
}

#[tokio::test]
async fn requests_are_counted_once_each() {
    let gateway = gateway("");
    ask(&gateway.client, get("/v1/models")).await;
    ask(&gateway.client, get("/v1/models/nope")).await;
    ask(&gateway.client, get("/nope")).await;
    let unknown = request(Method::GET, "/v1/models").body(Body::empty()).expect("a request");
    ask(&gateway.client, unknown).await;
    let text = gateway.app.metrics.encode();
    for line in [
        r#"quorate_requests_total{endpoint="models",status_class="2xx",outcome="ok"} 1"#,
        r#"quorate_requests_total{endpoint="models",status_class="4xx",outcome="not_found"} 1"#,
        r#"quorate_requests_total{endpoint="other",status_class="4xx",outcome="not_found"} 1"#,
        r#"quorate_requests_total{endpoint="models",status_class="4xx",outcome="unauthorized"} 1"#,
        r#"quorate_phase{phase="running"} 1"#,
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn one_measurement_goes_under_both_names() {
    let metrics = gateway::metrics::Metrics::new();
    metrics.observe_ttft(Duration::from_millis(40));
    metrics.observe_completion(Duration::from_secs(2));
    metrics.observe_usage(&openapi::usage::Usage::new(100, 11), Duration::from_secs(1));
    let text = metrics.encode();
    for line in [
        "quorate_ttft_seconds_sum 0.04",
        "gen_ai_server_time_to_first_token_sum 0.04",
        "quorate_request_seconds_count 1",
        "gen_ai_server_request_duration_count 1",
        // Ten intervals between eleven tokens.
        "gen_ai_server_time_per_output_token_sum 0.1",
        r#"quorate_tokens_total{kind="prompt"} 100"#,
        r#"quorate_tokens_total{kind="completion"} 11"#,
        r#"gen_ai_client_token_usage_sum{gen_ai_token_type="input"} 100"#,
        r#"gen_ai_client_token_usage_sum{gen_ai_token_type="output"} 11"#,
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}
