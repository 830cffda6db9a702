//! Keys that receipts are signed with: replaced, and what was signed with old ones.

use http::{Method, StatusCode};
use openapi::receipt::{Key, Keys};
use serde_json::json;
use std::time::Duration;

use crate::harness::{KEY, chat, market, receipt, start};

#[tokio::test]
async fn what_an_old_key_signed_holds_after_a_rotation_and_a_restart() {
    let first = market("", &[json!({"tokens": 2})]).await;
    let request = chat(json!({}));
    let old_answer = first.chat(&request).await;
    let old = first.receipt_of(&old_answer).await;
    let old_key = receipt(&old).proof.key;
    let secret = std::fs::read(first.data.path().join("receipts.key")).expect("a key");
    let rotated = first.admin(Method::POST, "/admin/v1/receipts/rotate-key").await;
    assert_eq!(rotated.status, StatusCode::OK, "{rotated:?}");
    let new_key: Key = serde_json::from_slice(&rotated.body).expect("a key");
    assert_ne!(new_key.key, old_key);
    assert_ne!(std::fs::read(first.data.path().join("receipts.key")).expect("a key"), secret);
    let new_answer = first.chat(&request).await;
    let new = receipt(&first.receipt_of(&new_answer).await);
    assert_eq!((new.proof.key, new.proof.root.batch), (new_key.key, 2));
    assert_eq!(first.keys().await, [new_key.key, old_key], "the newest first");
    let (data, providers) = first.stop().await;
    let (gateway, clock) = start(data.path(), &providers, "").await;
    let market = crate::harness::Market { gateway, clock, providers, data };
    for answer in [&old_answer, &new_answer] {
        market.checked(&request, answer).await;
    }
    assert_eq!(market.receipt_of(&old_answer).await.body, old.body);
    let third = market.chat(&request).await;
    let third = receipt(&market.receipt_of(&third).await);
    assert_eq!((third.proof.key, third.proof.root.batch), (new_key.key, 3));
}

#[tokio::test]
async fn a_key_is_replaced_when_it_is_old_enough() {
    let market = market("[receipts]\nrotate_days = 2\n", &[json!({"tokens": 1})]).await;
    let keys = async || {
        let answer = market.chat(&chat(json!({}))).await;
        market.receipt_of(&answer).await;
        let keys: Keys =
            serde_json::from_slice(&market.get(KEY, "/v1/receipts/keys").await.body).expect("keys");
        keys.data
    };
    let first = keys().await;
    market.clock.advance(Duration::from_secs(2 * 24 * 3600 - 60));
    assert_eq!(keys().await, first);
    market.clock.advance(Duration::from_secs(60));
    let after = keys().await;
    assert_eq!((after.len(), after[0].retired), (2, None));
    assert_eq!((after[1].key, after[1].retired), (first[0].key, Some(after[0].created)));
}
