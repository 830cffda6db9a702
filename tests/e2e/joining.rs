//! The providers of `up` are nodes like any other: joined with keys of their own, known by what they
//! signed and by what was measured.

use crate::harness::{Market, fetch, guarded, quorate, signal, user};
use hyper::StatusCode;
use serde_json::Value;

#[tokio::test]
async fn providers_join_verified_and_their_speed_is_measured() {
    guarded(async {
        let market = Market::start_with(2, &[]).await;
        let endpoints = loop {
            let (status, endpoints) = market.api.get("/models/pip/endpoints").await;
            assert_eq!(status, StatusCode::OK, "{endpoints}");
            let list = endpoints["data"].as_array().unwrap().clone();
            if list.iter().all(|endpoint| endpoint["measured"]["decode_tps"].is_number()) {
                break list;
            }
        };
        assert_eq!(endpoints.len(), 2);
        for endpoint in &endpoints {
            assert_eq!(endpoint["verified"], Value::Bool(true), "{endpoint}");
            assert!(endpoint["weights_id"].as_str().unwrap().starts_with("b3:"), "{endpoint}");
            assert!(endpoint["measured"]["decode_tps"].as_f64().unwrap() > 0.0, "{endpoint}");
        }
        assert_ne!(endpoints[0]["operator"], endpoints[1]["operator"]);
    })
    .await;
}

#[tokio::test]
async fn a_provider_answers_nobody_but_its_gateway() {
    guarded(async {
        let market = Market::start(1).await;
        let url = &market.providers[0].url;
        let (status, body) = fetch(&format!("{url}/v1/models")).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
        let (status, _) = fetch(&format!("{url}/healthz")).await;
        assert_eq!(status, StatusCode::OK);
        let data = market.data.path().join("op-1");
        let status = quorate(&["provider", "status", "--json", "--data", data.to_str().unwrap()])
            .output()
            .await
            .unwrap();
        assert!(status.status.success());
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        let lease = &status["member"]["gateways"][0]["lease"];
        assert_eq!(lease["provider"], "op-1", "{status}");
        assert_eq!(lease["selling"][0]["verified"], true, "{status}");
    })
    .await;
}

#[tokio::test]
async fn a_killed_provider_joins_again_as_who_it_was() {
    guarded(async {
        let market = Market::start(1).await;
        signal("-9", market.providers[0].pid);
        // Once the gateway has noticed, nobody is there; then the same node is back.
        loop {
            let (status, answer) = market.api.chat(&user("What is 7 plus 5?")).await;
            if status == StatusCode::OK {
                assert!(answer.to_string().contains("12"), "{answer}");
                break;
            }
        }
        let (_, endpoints) = market.api.get("/models/pip/endpoints").await;
        assert_eq!(endpoints["data"][0]["provider"], "op-1", "{endpoints}");
        assert_eq!(endpoints["data"].as_array().unwrap().len(), 1);
    })
    .await;
}
