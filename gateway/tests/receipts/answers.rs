//! What a receipt says of an answer, and that it is of the very bytes that went in and out.

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt as _;
use openapi::receipt::{Fault, Outcome, Verified, salted};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::{Answer, KEY, MODEL, call, chat, market, receipt};

#[tokio::test]
async fn whole_and_streamed_answers_have_receipts_of_their_very_bytes() {
    let market = market("", &[json!({"tokens": 5})]).await;
    for more in [json!({}), json!({"stream": true}), json!({"stream": true, "n": 2})] {
        let request = chat(more);
        let answer = market.chat(&request).await;
        assert_eq!(answer.header("x-quorate-verified"), "none");
        let claims = market.checked(&request, &answer).await;
        assert_eq!(claims.id, answer.header("x-quorate-receipt"));
        assert_eq!(claims.request_id, answer.header("x-request-id"));
        assert_eq!(claims.path, "/v1/chat/completions");
        assert_eq!((claims.model.as_str(), claims.outcome), (MODEL, Outcome::Complete));
        assert_eq!(claims.provider.expect("one").id, "p0");
        assert_eq!(claims.attempts.len(), 1);
        assert_eq!(
            (claims.attempts[0].why.as_str(), claims.attempts[0].ended.as_str()),
            ("first", "won")
        );
        assert!(claims.usage.expect("told").completion > 0);
        assert_eq!((claims.verified, claims.cached), (Verified::None, false));
    }
}

/// Bodies in another shape than the one that providers are asked in.
#[tokio::test]
async fn a_receipt_is_of_what_the_client_sent_and_got() {
    let market = market("", &[json!({"tokens": 3})]).await;
    for stream in [false, true] {
        let responses = json!({"model": MODEL, "input": "a canary", "stream": stream});
        let completions = json!({"model": MODEL, "prompt": "a canary", "stream": stream});
        for (path, request) in [("/v1/responses", responses), ("/v1/completions", completions)] {
            let answer = market.post(path, &request).await;
            let claims = market.checked(&request, &answer).await;
            assert_eq!(
                (claims.path.as_str(), claims.outcome),
                (path, Outcome::Complete),
                "{claims:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_flipped_byte_anywhere_is_found_and_named() {
    let market = market("", &[json!({"tokens": 4})]).await;
    let request = chat(json!({"stream": true}));
    let answer = market.chat(&request).await;
    let kept = market.receipt_of(&answer).await;
    let flip = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    let request = request.to_string().into_bytes();
    let verify = async |receipt: &[u8], request: &[u8], response: &[u8]| {
        market.verify(receipt, Some(request), Some(response)).await
    };
    verify(&kept.body, &request, &answer.body).await.expect("it holds");
    let other_request = verify(&kept.body, &flip(&request, 20), &answer.body).await;
    assert!(matches!(other_request, Err(Fault::Request(_))), "{other_request:?}");
    let last = answer.body.len() - 1;
    let other_answer = verify(&kept.body, &request, &flip(&answer.body, last)).await;
    assert!(matches!(other_answer, Err(Fault::Response(_))), "{other_answer:?}");
    let text = String::from_utf8(kept.body.to_vec()).expect("text");
    let at = |what: &str| text.find(what).expect(what) + what.len() + 2;
    for (what, fault) in [
        ("\"id\":\"rcpt_", "claims"),
        ("\"salt\":", "opening"),
        ("\"leaf\":", "claims"),
        ("\"signature\":", "signature"),
    ] {
        let found = verify(&flip(&kept.body, at(what)), &request, &answer.body).await;
        let found = found.expect_err(what).to_string();
        assert!(found.contains(fault), "{what}: {found}");
    }
}

#[tokio::test]
async fn attempts_tell_who_failed_and_how() {
    let failing = json!({"status": 500, "body": "{}"});
    let market = market("", &[failing, json!({"tokens": 2})]).await;
    let request = chat(json!({"provider": {"order": ["p0", "p1"]}}));
    let answer = market.chat(&request).await;
    let claims = market.checked(&request, &answer).await;
    let told: Vec<_> = claims
        .attempts
        .iter()
        .map(|attempt| (attempt.provider.as_str(), attempt.why.as_str(), attempt.ended.as_str()))
        .collect();
    assert_eq!(told, [("p0", "first", "status"), ("p1", "retry", "won")]);
    assert_eq!(claims.provider.expect("one").operator, "op1");
}

#[tokio::test]
async fn an_answer_that_broke_off_says_so() {
    let market = market("", &[json!({"tokens": 9, "cut_after": 3})]).await;
    let request = chat(json!({"stream": true}));
    let answer = market.chat(&request).await;
    let claims = market.checked(&request, &answer).await;
    assert_eq!(claims.outcome, Outcome::Truncated);
    assert_eq!(claims.attempts[0].ended, "broke");
}

#[tokio::test]
async fn a_client_that_leaves_has_a_receipt_of_what_it_got() {
    let market =
        market("", &[json!({"tokens": 50, "stall_after": 2, "stall_ms": 3_600_000})]).await;
    let body = Bytes::from(chat(json!({"stream": true})).to_string());
    let mut answer =
        call(market.gateway.addr, KEY, Method::POST, "/v1/chat/completions", body).await;
    let id = answer.headers()["x-quorate-receipt"].to_str().expect("text").to_owned();
    let first = answer.body_mut().frame().await.expect("a frame").expect("whole");
    assert!(!first.data_ref().expect("data").is_empty());
    drop(answer);
    let claims = receipt(&market.receipt(&id).await).claims;
    assert_eq!(claims.outcome, Outcome::ClientGone);
    assert!(claims.response.bytes > 0);
}

#[tokio::test]
async fn what_fails_before_its_answer_has_no_receipt() {
    let market = market("", &[json!({"status": 500, "body": "{}"})]).await;
    let answer = market.post("/v1/chat/completions", &chat(json!({}))).await;
    assert!(answer.status.is_server_error());
    assert_eq!(answer.header("x-quorate-receipt"), "");
}

#[tokio::test]
async fn an_answer_from_the_cache_has_a_receipt_of_its_own() {
    let cached = "[cache]\nenabled = true\n";
    let market = market(cached, &[json!({"tokens": 3})]).await;
    let request = chat(json!({"temperature": 0}));
    let ask = async || {
        let body = Bytes::from(request.to_string());
        let stream = tokio::net::TcpStream::connect(market.gateway.addr).await.expect("connects");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream))
                .await
                .expect("h1");
        tokio::task::spawn(connection);
        let request = http::Request::post("/v1/chat/completions")
            .header("host", "gateway")
            .header("authorization", format!("Bearer {KEY}"))
            .header("content-type", "application/json")
            .header("x-quorate-cache", "on")
            .body(http_body_util::Full::new(body))
            .expect("a request");
        crate::harness::read(sender.send_request(request).await.expect("an answer")).await
    };
    let (first, second) = (ask().await, ask().await);
    assert_eq!(second.header("x-quorate-cache"), "hit");
    assert_ne!(first.header("x-quorate-receipt"), second.header("x-quorate-receipt"));
    let claims = market.checked(&request, &second).await;
    assert!(claims.cached && claims.attempts.is_empty(), "{claims:?}");
    assert_eq!(claims.provider.expect("named").id, "p0");
}

/// The owner can show that the key was its own.
#[tokio::test]
async fn the_key_stands_in_it_as_a_salted_hash() {
    let market = market("", &[json!({"tokens": 1})]).await;
    let answer = market.chat(&chat(json!({}))).await;
    let receipt = receipt(&market.receipt_of(&answer).await);
    let mut salt = [0; 32];
    hex::decode_to_slice(receipt.opening.expect("the owner's").salt, &mut salt).expect("hex");
    let key = salted(&salt, &Sha256::digest(KEY.as_bytes()).into());
    assert_eq!(receipt.claims.key, Some(key));
}

#[tokio::test]
async fn the_store_holds_no_prompt_and_no_answer_and_is_its_owners() {
    let market = market("", &[json!({"text": "a very special answer"})]).await;
    let answer = market.chat(&chat(json!({}))).await;
    market.receipt_of(&answer).await;
    let (data, _providers) = market.stop().await;
    let path = data.path().join("receipts.redb");
    let stored = std::fs::read(&path).expect("the store");
    let has = |text: &str| stored.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has(answer.header("x-quorate-receipt")), "it is the store");
    assert!(!has("canary") && !has("special answer") && !has(KEY));
    for name in ["receipts.redb", "receipts.key"] {
        let metadata = std::fs::metadata(data.path().join(name)).expect("exists");
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_gateway_without_receipts_names_none() {
    let off = "[receipts]\nenabled = false\n";
    let market = market(off, &[json!({"tokens": 1})]).await;
    let answer: Answer = market.chat(&chat(json!({}))).await;
    assert_eq!(answer.header("x-quorate-receipt"), "");
    let asked: Value = market.get(KEY, "/v1/receipts/keys").await.json();
    assert_eq!(asked["error"]["code"], "receipt_not_found");
    assert!(!market.data.path().join("receipts.redb").exists());
}
