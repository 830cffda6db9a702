//! GET /v1/models and /v1/models/{id}.

use http::StatusCode;
use serde_json::json;

use crate::support::{NOW_MS, ask, gateway, get};

#[tokio::test]
async fn the_list_names_each_model_once() {
    let gateway = gateway("");
    let answer = ask(&gateway.client, get("/v1/models")).await;
    let created = NOW_MS / 1000;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!({ "object": "list", "data": [
            // Two operators serve it: the longest context, and no single owner.
            { "id": "pip", "object": "model", "created": created, "owned_by": "quorate", "context_length": 8192 },
            { "id": "org/name:tag", "object": "model", "created": created, "owned_by": "acme", "context_length": 4096 },
        ] })
    );
}

#[tokio::test]
async fn a_model_is_found_by_id_however_it_is_written_and_by_alias() {
    let gateway = gateway("");
    for (path, id) in [
        ("/v1/models/pip", "pip"),
        ("/v1/models/pip/", "pip"),
        ("/v1/models/gpt-4o-mini", "pip"),
        ("/v1/models/team/fast", "pip"),
        ("/v1/models/team%2ffast", "pip"),
        ("/v1/models/org/name:tag", "org/name:tag"),
        ("/v1/models/org%2Fname:tag", "org/name:tag"),
        ("/v1/models/org%2Fname%3Atag", "org/name:tag"),
        ("/v1/v1/models/org/name:tag", "org/name:tag"),
        ("/v1/models/pip?x=1", "pip"),
    ] {
        let answer = ask(&gateway.client, get(path)).await;
        assert_eq!(
            (answer.status, answer.json()["id"].as_str()),
            (StatusCode::OK, Some(id)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_unknown_model_is_named_in_the_error() {
    let gateway = gateway("");
    for path in ["/v1/models/nope", "/v1/models/org/nope", "/v1/models/%00", "/v1/models/pi%70x"] {
        let answer = ask(&gateway.client, get(path)).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.code(), "model_not_found", "{path}");
        assert_eq!(answer.json()["error"]["param"], "model");
    }
    let answer = ask(&gateway.client, get("/v1/models/%ff%fe")).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let long = format!("/v1/models/{}", "x".repeat(5000));
    let answer = ask(&gateway.client, get(&long)).await;
    assert!(answer.body.len() < 1000, "a name is not repeated at any length");
}

#[tokio::test]
async fn the_providers_of_a_model_are_listed_with_their_terms() {
    let gateway = gateway("");
    for path in ["/v1/models/org/name:tag/endpoints", "/v1/models/org%2Fname:tag/endpoints/"] {
        let answer = ask(&gateway.client, get(path)).await;
        assert_eq!(
            answer.json(),
            json!({ "id": "org/name:tag", "object": "model.endpoints", "data": [
                { "provider": "a", "operator": "acme", "region": null, "quantization": null,
                  "context_length": 4096, "prompt_usd_per_million": 0.5,
                  "completion_usd_per_million": null, "cached_usd_per_million": null,
                  "status": "ready", "latency_s": { "p50": 0.844, "p90": null, "p99": null },
                  "tokens_per_second": 40.0, "uptime": 0.95, "concurrency": 4.0,
                  "in_flight": 0, "verified": false, "region_status": null,
                  "weights_id": null, "engine": null, "features": null, "hardware": null,
                  "standing": null, "load": null, "measured": null,
                  "lease_expires_at_ms": null, "rented_until_ms": null },
            ] }),
            "{path}"
        );
    }
    let answer = ask(&gateway.client, get("/v1/models/gpt-4o-mini/endpoints")).await;
    let providers = answer.json()["data"].as_array().map(Vec::len);
    assert_eq!((answer.json()["id"].as_str(), providers), (Some("pip"), Some(2)));
    for path in ["/v1/models/nope/endpoints", "/v1/models/endpoints"] {
        let answer = ask(&gateway.client, get(path)).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::NOT_FOUND, "model_not_found".into())
        );
    }
}
