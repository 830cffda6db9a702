//! Requests a minute, and what every answer tells about limits.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;

use crate::harness::{KEY, MODEL, Market, call, chat, get, market, read};

/// Status and headers of `count` requests at once over one HTTP/2 connection.
async fn burst(market: &Market, count: usize) -> Vec<(StatusCode, http::HeaderMap, Value)> {
    let addr = market.gateway.addr;
    let socket = TcpStream::connect(addr).await.expect("connects");
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await;
    let (sender, connection) = handshake.expect("h2");
    tokio::task::spawn(connection);
    let requests = (0..count).map(|_| {
        let mut sender = sender.clone();
        async move {
            let request = Request::post(format!("http://{addr}/v1/chat/completions"))
                .header("authorization", format!("Bearer {KEY}"))
                .header("content-type", "application/json")
                .body(Full::new(Bytes::from(chat(json!({})).to_string())))
                .expect("a request");
            sender.ready().await.expect("ready");
            let (head, body) = sender.send_request(request).await.expect("answered").into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            (head.status, head.headers, serde_json::from_slice(&body).expect("JSON"))
        }
    });
    futures_util::future::join_all(requests).await
}

#[tokio::test]
async fn of_a_thousand_concurrent_requests_exactly_a_hundred_pass() {
    let market = market("requests_per_minute = 100", json!({"tokens": 2})).await;
    let bursts = futures_util::future::join_all((0..8).map(|_| burst(&market, 125))).await;
    let answers: Vec<_> = bursts.into_iter().flatten().collect();
    let passed = answers.iter().filter(|(status, ..)| *status == StatusCode::OK).count();
    assert_eq!((answers.len(), passed), (1000, 100));
    assert_eq!(
        market.provider.counters.jobs_started(),
        100,
        "the others cost no provider anything"
    );
    for (status, headers, body) in answers {
        let header = |name: &str| headers[name].to_str().expect("text");
        assert_eq!(header("x-ratelimit-limit-requests"), "100");
        assert!(headers.contains_key("x-ratelimit-reset-requests"));
        assert!(headers.contains_key("x-request-id"));
        if status == StatusCode::OK {
            continue;
        }
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(header("x-ratelimit-remaining-requests"), "0");
        assert_eq!(header("x-ratelimit-reset-requests"), "1m0s");
        assert_eq!((header("retry-after"), header("retry-after-ms")), ("1", "600"));
        assert_eq!(header("x-should-retry"), "true");
        assert_eq!(body["error"]["code"], "rate_limit_exceeded");
        assert_eq!(body["error"]["type"], "rate_limit_error");
    }
    market.clock.advance(Duration::from_millis(600));
    let answers = burst(&market, 2).await;
    let passed = answers.iter().filter(|(status, ..)| *status == StatusCode::OK).count();
    assert_eq!(passed, 1, "one comes back every 600 ms");
}

#[tokio::test]
async fn a_wrong_request_costs_a_request_and_no_tokens_and_asking_costs_nothing() {
    let market = market("requests_per_minute = 4\ntokens_per_minute = 1000", json!({})).await;
    let addr = market.gateway.addr;
    let cases = [
        (chat(json!({"messages": 3})), 400),
        (chat(json!({"model": "nope"})), 404),
        (chat(json!({"max_tokens": 5000})), 429),
    ];
    for (number, (body, status)) in cases.into_iter().enumerate() {
        let answer = market.ask(&body).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
        let remaining = 3 - number;
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), remaining.to_string());
        assert_eq!(answer.header("x-ratelimit-remaining-tokens"), "1000");
        assert_eq!(answer.header("x-ratelimit-reset-tokens"), "0s");
    }
    for path in ["/v1/models", "/v1/key", "/v1/nope"] {
        let answer = get(addr, KEY, path).await;
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), "1", "{path}");
    }
    // A path that no route has costs one too: it may be guessing.
    read(call(addr, KEY, Method::POST, "/v1/nope", Bytes::new()).await).await;
    let answer = market.ask(&chat(json!({}))).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.json()["error"]["message"].as_str().expect("text").contains("limit 4"));
    assert_eq!(market.provider.counters.jobs_started(), 0);
}

#[tokio::test]
async fn one_too_many_is_refused_before_its_body_is_read() {
    let market = market("requests_per_minute = 1", json!({})).await;
    market.ask(&chat(json!({}))).await;
    let mut socket = TcpStream::connect(market.gateway.addr).await.expect("connects");
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {KEY}\r\n\
         content-type: application/json\r\ncontent-length: 1000000\r\n\r\n{{"
    );
    tokio::io::AsyncWriteExt::write_all(&mut socket, head.as_bytes()).await.expect("sent");
    let mut answer = vec![0u8; 12];
    tokio::io::AsyncReadExt::read_exact(&mut socket, &mut answer).await.expect("answered");
    assert_eq!(answer, b"HTTP/1.1 429");
}

#[tokio::test]
async fn what_can_never_pass_is_not_to_be_retried() {
    let market = market("tokens_per_minute = 100", json!({})).await;
    let answer = market.ask(&chat(json!({"max_completion_tokens": 101}))).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.code(), "rate_limit_exceeded");
    assert_eq!(answer.header("x-should-retry"), "false");
    assert!(!answer.headers.contains_key("retry-after"));
    assert_eq!(answer.header("x-ratelimit-limit-tokens"), "100");
}

#[tokio::test]
async fn a_key_tells_its_own_limits_and_what_is_left() {
    let rules = "requests_per_minute = 60\ntokens_per_minute = 1000\nchoices_max = 2\n\
                 models = [\"acme/*\"]\nregions = [\"eu\"]";
    let market = market(rules, json!({"tokens": 10})).await;
    market.ask(&chat(json!({"max_tokens": 100}))).await;
    let used = 1000 - market.tokens_left();
    let answer = get(market.gateway.addr, KEY, "/v1/key").await;
    let expected = json!({
        "object": "key",
        "id": null,
        "name": "alice",
        "limits": {
            "requests_per_minute": 60, "tokens_per_minute": 1000,
            "concurrent_streams": 1000, "choices_max": 2, "hedges_max": null,
            "quorum_max": 5, "verification": null,
        },
        "scope": { "models": ["acme/*"], "regions": ["eu"], "providers": null },
        "requests": { "limit": 60, "remaining": 59, "reset_ms": 1000 },
        "tokens": { "limit": 1000, "remaining": 1000 - used, "reset_ms": used * 60 },
        "open_streams": 0,
    });
    assert_eq!(answer.json(), expected);
    let answer = market.ask(&chat(json!({"n": 3}))).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.json()["error"]["param"], "n");
}

#[tokio::test]
async fn a_key_says_how_many_may_answer_and_how_answers_are_verified() {
    let rules = "quorum_max = 4\nverification = \"quorum; k=3; n=4\"";
    let market = market(rules, json!({"tokens": 1})).await;
    let limits = get(market.gateway.addr, KEY, "/v1/key").await.json()["limits"].clone();
    assert_eq!(limits["quorum_max"], 4);
    assert_eq!(limits["verification"], "quorum; k=3; n=4");
    // It holds where the request says nothing; a static upstream's word is not compared.
    let answer = market.ask(&chat(json!({}))).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    let answer = market.ask(&chat(json!({"verification": {"mode": "off"}}))).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let many = json!({"verification": {"mode": "quorum", "n": 5}});
    let answer = market.ask(&chat(many)).await;
    assert_eq!(answer.json()["error"]["param"], "verification.n");
}

#[tokio::test]
async fn choices_are_capped_for_each_prompt() {
    let market = market("choices_max = 1", json!({"tokens": 1})).await;
    let completion = |n: u32| {
        let body = json!({"model": MODEL, "prompt": ["a", "b", "c"], "n": n}).to_string();
        call(market.gateway.addr, KEY, Method::POST, "/v1/completions", Bytes::from(body))
    };
    let answer = read(completion(1).await).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let answer = read(completion(2).await).await;
    assert_eq!(answer.json()["error"]["param"], "n");
}

#[tokio::test]
async fn a_key_without_limits_has_no_headers_of_them() {
    let market = market("", json!({})).await;
    let answer = market.ask(&chat(json!({}))).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("x-ratelimit")));
}
