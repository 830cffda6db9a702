//! Who may read a receipt, and when.

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use openapi::receipt::SignedText;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::harness::{KEY, MODEL, OTHER_KEY, call, chat, market};

#[tokio::test]
async fn another_key_is_answered_as_if_there_were_none() {
    let market = market("", &[json!({"tokens": 2})]).await;
    let answer = market.chat(&chat(json!({}))).await;
    let own = market.receipt_of(&answer).await;
    let id = answer.header("x-quorate-receipt");
    let others = market.get(OTHER_KEY, &format!("/v1/receipts/{id}")).await;
    assert_eq!(
        (others.status, others.code().as_str()),
        (StatusCode::NOT_FOUND, "receipt_not_found")
    );
    let unknown = format!("rcpt_{:032x}", 7);
    let none = market.get(OTHER_KEY, &format!("/v1/receipts/{unknown}")).await;
    let text =
        |answer: &crate::harness::Answer| String::from_utf8(answer.body.to_vec()).expect("text");
    assert_eq!(text(&others).replace(id, &unknown), text(&none));
    for wrong in ["x", "rcpt_", &id.to_uppercase()] {
        let answer = market.get(KEY, &format!("/v1/receipts/{wrong}")).await;
        assert_eq!(answer.code(), "receipt_not_found", "{wrong}");
    }
    assert_eq!(
        market.get("qk_nobodys_0123456789", &format!("/v1/receipts/{id}")).await.status,
        401
    );
    let path = format!("/admin/v1/receipts/{id}");
    let operators = market.admin(Method::GET, &path).await;
    assert_eq!((operators.status, &operators.body), (StatusCode::OK, &own.body));
    assert_eq!(market.get(KEY, &path).await.code(), "unknown_url", "not on the clients' listener");
}

#[tokio::test]
async fn it_is_pending_for_its_owner_alone_until_its_answer_is_over() {
    let market =
        market("", &[json!({"tokens": 50, "stall_after": 2, "stall_ms": 3_600_000})]).await;
    let body = Bytes::from(chat(json!({"stream": true})).to_string());
    let mut answer =
        call(market.gateway.addr, KEY, Method::POST, "/v1/chat/completions", body).await;
    let id = answer.headers()["x-quorate-receipt"].to_str().expect("text").to_owned();
    answer.body_mut().frame().await.expect("a frame").expect("whole");
    let path = format!("/v1/receipts/{id}");
    let pending = market.get(KEY, &path).await;
    assert_eq!(
        (pending.status, pending.code().as_str()),
        (StatusCode::NOT_FOUND, "receipt_pending")
    );
    assert_eq!((pending.header("retry-after"), pending.header("x-should-retry")), ("1", "true"));
    assert_eq!(market.get(OTHER_KEY, &path).await.code(), "receipt_not_found");
    let signature = market.get(KEY, &format!("/v1/signature/{id}")).await;
    assert_eq!(signature.code(), "receipt_pending");
    drop(answer);
    assert_eq!(market.receipt(&id).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_signature_is_of_ones_own_answer_under_any_of_its_names() {
    let market = market("", &[json!({"tokens": 2})]).await;
    let request = chat(json!({}));
    let answer = market.chat(&request).await;
    market.receipt_of(&answer).await;
    let sha256 = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    let text =
        format!("{MODEL}:{}:{}", sha256(request.to_string().as_bytes()), sha256(&answer.body));
    let named = answer.json()["id"].as_str().expect("text").to_owned();
    let request_id = answer.header("x-request-id").to_owned();
    for name in [
        named,
        request_id.clone(),
        format!("chatcmpl-{request_id}"),
        answer.header("x-quorate-receipt").to_owned(),
    ] {
        let path = format!("/v1/signature/{name}");
        let found = market.get(KEY, &path).await;
        assert_eq!(found.status, StatusCode::OK, "{name}: {found:?}");
        let signed: SignedText = serde_json::from_slice(&found.body).expect("signed");
        assert_eq!((&signed.text, signed.signing_algo.as_str()), (&text, "ed25519"));
        signed
            .signing_address
            .verify_bare(signed.text.as_bytes(), &signed.signature)
            .expect("fits");
        assert!(market.keys().await.contains(&signed.signing_address));
        assert_eq!(market.get(OTHER_KEY, &path).await.code(), "receipt_not_found", "{name}");
    }
}
