//! Answers that others have a say in, on the local market: receipts of audited ones, and quorums.

use crate::harness::{Market, guarded, quorate, user};
use http_body_util::BodyExt as _;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn an_honest_answers_receipt_passes_and_is_checked_offline() {
    guarded(async {
        let market = Market::start(3).await;
        let body = user("What is 7 plus 5?").to_string();
        let sent = body.clone().into_bytes();
        let response = market.api.send(Method::POST, "/chat/completions", sent).await;
        assert_eq!(response.status(), StatusCode::OK);
        let path =
            format!("/receipts/{}", response.headers()["x-quorate-receipt"].to_str().unwrap());
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        let receipt = loop {
            let (_, receipt) = market.api.get(&path).await;
            if receipt["claims"]["verified"] == "pass" {
                break receipt;
            }
            assert_ne!(receipt["claims"]["verified"], "fail", "{receipt}");
            ticks.tick().await;
        };
        assert_eq!(receipt["claims"]["audits"][0]["verdict"], "pass", "{receipt}");
        let (_, keys) = market.api.get("/receipts/keys").await;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("receipt"), receipt.to_string()).unwrap();
        std::fs::write(at("keys"), keys.to_string()).unwrap();
        std::fs::write(at("request"), &body).unwrap();
        std::fs::write(at("answer"), &answer).unwrap();
        let path = |name: &str| at(name).display().to_string();
        let (receipt, keys, request) = (path("receipt"), path("keys"), path("request"));
        let verify = |answer: &str| {
            let files = ["--keys", &keys, "--request", &request, "--response", answer];
            let words = [["receipt", "verify", &receipt].as_slice(), &files].concat();
            quorate(&words).output()
        };
        assert!(verify(&path("answer")).await.unwrap().status.success());
        assert!(!verify(&path("request")).await.unwrap().status.success());
    })
    .await;
}

fn quorum(question: &str, strict: bool) -> Value {
    let mut body = user(question);
    body["verification"] = json!({"mode": "quorum", "k": 2, "n": 3, "strict": strict});
    body
}

#[tokio::test]
async fn two_of_three_agree_to_the_byte() {
    guarded(async {
        let market = Market::start(3).await;
        let (status, answer) = market.api.chat(&quorum("What is 7 plus 5?", true)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["choices"][0]["message"]["content"], "7 plus 5 is 12.");
        let told = &answer["quorate"]["verification"];
        assert_eq!((&told["verified"], &told["class"]), (&json!("pass"), &json!("exact")));
        assert_eq!(told["agreed"].as_array().map(Vec::len), Some(2), "{told}");
    })
    .await;
}

#[tokio::test]
async fn too_few_operators_are_no_quorum() {
    guarded(async {
        let market = Market::start(2).await;
        let (status, answer) = market.api.chat(&quorum("What is 7 plus 5?", false)).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("verification"), "{message}");
    })
    .await;
}
