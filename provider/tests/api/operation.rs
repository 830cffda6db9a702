//! Models, health, metrics, documents.

use crate::client::{MODEL, scripted};
use serde_json::json;

#[tokio::test]
async fn models_by_list_and_by_id_with_slashes_and_colons() {
    let (_running, client) = scripted(json!({})).await;
    let list = client.get("/v1/models").await.json();
    let model =
        json!({"id": MODEL, "object": "model", "created": 1700000000, "owned_by": "quorate"});
    assert_eq!(list, json!({"object": "list", "data": [model]}));
    assert_eq!(client.get(&format!("/v1/models/{MODEL}")).await.json(), model);
    assert_eq!(client.get("/v1/models/acme%2Ftiny:1").await.json(), model);
    let missing = client.get("/v1/models/acme/other").await;
    assert_eq!(missing.status, 404);
    assert_eq!(missing.error()["code"], "model_not_found");
}

#[tokio::test]
async fn health_and_readiness() {
    let (running, client) = scripted(json!({})).await;
    assert_eq!(client.get("/healthz").await.json(), json!({"status": "ok"}));
    assert_eq!(client.get("/readyz").await.json(), json!({"status": "ready"}));
    running.shutdown.begin();
    let draining = client.get("/readyz").await;
    assert_eq!(draining.status, 503);
    assert_eq!(draining.error()["code"], "shutting_down");
    assert_eq!(client.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn metrics_have_the_documented_names_and_right_values() {
    let (_running, client) = scripted(json!({"tokens": 4})).await;
    client.chat(json!({})).await;
    client.chat(json!({"n": 0})).await;
    client.get("/some/path/nobody/serves").await;
    let answer = client.get("/metrics").await;
    assert!(
        answer.headers["content-type"].to_str().unwrap().starts_with("application/openmetrics")
    );
    let mut names: Vec<&str> = answer
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    names.sort_unstable();
    let documented = [
        "quorate_provider_connections",
        "quorate_provider_engine_restarts",
        "quorate_provider_http_requests",
        "quorate_provider_jobs_cancelled",
        "quorate_provider_jobs_finished",
        "quorate_provider_jobs_started",
        "quorate_provider_queue_depth",
        "quorate_provider_running_jobs",
        "quorate_provider_tokens_generated",
    ];
    assert_eq!(names, documented);
    for line in [
        "quorate_provider_tokens_generated_total 4",
        "quorate_provider_jobs_started_total 1",
        "quorate_provider_jobs_finished_total 1",
        "quorate_provider_jobs_cancelled_total 0",
        "quorate_provider_running_jobs 0",
        "quorate_provider_queue_depth 0",
        r#"quorate_provider_http_requests_total{route="/v1/chat/completions",status="200"} 1"#,
        r#"quorate_provider_http_requests_total{route="/v1/chat/completions",status="400"} 1"#,
        r#"quorate_provider_http_requests_total{route="unknown",status="404"} 1"#,
    ] {
        assert!(answer.text.lines().any(|have| have == line), "{line} in\n{}", answer.text);
    }
}

#[tokio::test]
async fn documents_are_served() {
    let (_running, client) = scripted(json!({})).await;
    let contract = client.get("/openapi.json").await.json();
    assert!(contract["paths"]["/v1/chat/completions"]["post"].is_object());
    let page = client.get("/docs").await;
    assert!(page.text.contains("Quorate provider"));
    assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
}
