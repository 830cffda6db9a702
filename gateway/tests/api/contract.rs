//! The committed contract is the one that the code serves.

use axum::body::Body;
use http::{Method, StatusCode};
use serde_json::Value;

use crate::support::{ask, gateway, request};

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi/gateway.json");

#[test]
fn the_committed_document_has_not_drifted() {
    let made = gateway::http::document().to_pretty_json().expect("JSON") + "\n";
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(
        made == committed,
        "openapi/gateway.json is stale: write it anew with `quorate-gateway openapi`"
    );
}

#[tokio::test]
async fn the_document_is_served_and_shown() {
    let gateway = gateway("");
    let open = |path| request(Method::GET, path).body(Body::empty()).expect("a request");
    let served = ask(&gateway.client, open("/openapi.json")).await;
    assert_eq!(served.status, StatusCode::OK);
    assert_eq!(served.header("content-type"), "application/json");
    let document = served.json();
    assert_eq!(document["openapi"], "3.2.0");
    assert_eq!(ask(&gateway.client, open("/docs")).await.status, StatusCode::OK);
}

#[test]
fn every_operation_under_v1_needs_a_key_and_has_an_error_shape() {
    let document: Value =
        serde_json::from_str(&gateway::http::document().to_json().expect("JSON")).expect("JSON");
    for (path, item) in document["paths"].as_object().expect("paths") {
        assert!(!path.contains('*'), "{path}");
        for (method, operation) in item.as_object().expect("operations") {
            let needs_key = operation["security"][0].get("api_key").is_some();
            assert_eq!(needs_key, path.starts_with("/v1/"), "{method} {path}");
            if needs_key {
                let shape = &operation["responses"]["401"]["content"]["application/json"]["schema"];
                assert_eq!(shape["$ref"], "#/components/schemas/ErrorBody", "{method} {path}");
            }
        }
    }
}

#[test]
fn operations_have_ids_of_their_own() {
    let contract: Value =
        serde_json::from_str(&gateway::http::document().to_json().expect("JSON")).expect("JSON");
    let mut seen = std::collections::HashSet::new();
    for (path, item) in contract["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
            assert!(!id.is_empty() && seen.insert(id), "{method} {path}");
        }
    }
}
