//! Embeddings through the gateway: relayed bytes, fail-over, judged by what they hold.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::net::SocketAddr;

use crate::harness::{MODEL, gateway, json_of, market, market_with, post, until};

const PATH: &str = "/v1/embeddings";

fn request(more: Value) -> Value {
    let mut body = json!({"model": MODEL, "input": "one two"});
    body.as_object_mut().expect("members").extend(more.as_object().expect("members").clone());
    body
}

async fn ask(addr: SocketAddr, body: &Value) -> (StatusCode, HeaderMap, Bytes) {
    let (parts, body) = post(addr, PATH, Bytes::from(body.to_string())).await.into_parts();
    (parts.status, parts.headers, body.collect().await.expect("a whole body").to_bytes())
}

/// An answer of a provider with these items.
fn list(items: &Value) -> String {
    json!({"object": "list", "data": items, "model": "theirs",
        "usage": {"prompt_tokens": 2, "total_tokens": 2}})
    .to_string()
}

#[tokio::test]
async fn every_form_of_input_is_answered_with_a_vector_each() {
    let market = market(&[json!({})]).await;
    for (input, count, tokens) in [
        (json!("one two three"), 1, 3),
        (json!(["one", "two three"]), 2, 3),
        (json!([5, 6, 7, 8]), 1, 4),
        (json!([[5], [6, 7]]), 2, 3),
    ] {
        for format in ["float", "base64"] {
            let body = request(json!({"input": input, "encoding_format": format}));
            let (status, headers, bytes) = ask(market.gateway.addr, &body).await;
            assert_eq!(status, 200, "{bytes:?}");
            assert_eq!(headers["content-type"], "application/json");
            assert_eq!(headers["x-quorate-provider"], "p0");
            let answer = json_of(&bytes);
            let data = answer["data"].as_array().expect("data");
            assert_eq!(data.len(), count, "{input}");
            assert!(data.iter().all(|item| item["embedding"].is_string() == (format == "base64")));
            assert_eq!(answer["usage"]["prompt_tokens"], tokens);
            assert_eq!(answer["model"], MODEL);
        }
    }
}

#[tokio::test]
async fn bytes_pass_both_ways_but_for_the_models_name() {
    let odd = r#"{ "model" :"theirs","data":[ {"embedding":[1.0,-2.50e-3],"index":0,"x":1e400}],"object":"list", "usage":{"total_tokens":2,"prompt_tokens":2 }}"#;
    let script = json!({"status": 200, "body": odd});
    let provider = provider::testing::scripted("theirs", script).await.expect("serves");
    let (gateway, _data) = gateway("", &[provider.addr], "theirs").await;
    let (status, _, bytes) = ask(gateway.addr, &request(json!({"model": "gpt-test"}))).await;
    assert_eq!(status, 200, "{bytes:?}");
    assert_eq!(&bytes[..], odd.replace("\"theirs\"", &format!("{MODEL:?}")).as_bytes());
}

#[tokio::test]
async fn each_fault_leads_to_the_other_provider() {
    let good = json!({"object": "embedding", "index": 0, "embedding": [1.0]});
    for fault in [
        json!({"status": 500}),
        json!({"status": 429}),
        json!({"status": 404}),
        json!({"status": 401}),
        json!({"reset_before_head": true}),
        json!({"error_after": 0}),
        json!({"cut_after": 0}),
        json!({"status": 200, "body": "<html>", "content_type": "text/html"}),
        json!({"status": 200, "body": "{"}),
        json!({"status": 200, "body": r#"{"error":"out of memory"}"#}),
        json!({"status": 200, "body": list(&json!([]))}),
        json!({"status": 200, "body": list(&json!([good, good]))}),
        json!({"status": 200, "body": list(&json!([{"index": 0, "embedding": [null]}]))}),
        json!({"status": 200, "body": r#"{"object":"list","data":[{"embedding":[1]}]}"#}),
        json!({"status": 200, "body": "data: [DONE]\n\n", "content_type": "text/event-stream"}),
    ] {
        let market = market(&[fault.clone(), json!({})]).await;
        let mut failed_over = 0;
        for _ in 0..16 {
            let wish = json!({"provider": {"order": ["p0"]}});
            let (status, headers, bytes) = ask(market.gateway.addr, &request(wish)).await;
            assert_eq!(
                (status.as_u16(), &headers["x-quorate-provider"]),
                (200, &"p1".parse().expect("a value")),
                "{fault}: {bytes:?}"
            );
            failed_over += u32::from(headers["x-quorate-attempts"] == "2");
        }
        assert!(failed_over > 0, "{fault}: the faulty provider was never asked");
    }
}

#[tokio::test]
async fn silence_leads_to_the_other_provider() {
    for slow in [json!({"ttft_ms": 60_000}), json!({"head_ms": 60_000})] {
        let limits = "first_content_ms = 250\nhead_ms = 250";
        let market = market_with(limits, &[slow, json!({})]).await;
        for _ in 0..4 {
            let (status, _, bytes) = ask(market.gateway.addr, &request(json!({}))).await;
            assert_eq!(status, 200, "{bytes:?}");
        }
        market.until(|counters| counters.jobs_started() == counters.jobs_finished()).await;
    }
}

#[tokio::test]
async fn a_refusal_of_the_input_is_passed_on_as_it_is() {
    let market = market(&[json!({}), json!({})]).await;
    for (members, param) in [
        (json!({"dimensions": 1_000}), "dimensions"),
        (json!({"input": ["a", ""]}), "input[1]"),
        (json!({"input": [400_000]}), "input"),
        (json!({"encoding_format": "hex"}), "encoding_format"),
    ] {
        let (status, _, bytes) = ask(market.gateway.addr, &request(members)).await;
        let error = &json_of(&bytes)["error"];
        assert_eq!((status.as_u16(), error["param"].as_str()), (400, Some(param)), "{error}");
    }
    let long = request(json!({"input": "word ".repeat(9_000)}));
    let (_, _, bytes) = ask(market.gateway.addr, &long).await;
    assert_eq!(json_of(&bytes)["error"]["code"], "context_length_exceeded");
}

#[tokio::test]
async fn what_is_wrong_here_asks_nobody() {
    let market = market(&[json!({})]).await;
    for (members, status, param) in [
        (json!({"input": null}), 400, "input"),
        (json!({"input": 7}), 400, "input"),
        (json!({"input": {}}), 400, "input"),
        (json!({"input": []}), 400, "input"),
        (json!({"model": ""}), 400, "model"),
        (json!({"model": "nobody/knows"}), 404, "model"),
    ] {
        let (seen, _, bytes) = ask(market.gateway.addr, &request(members.clone())).await;
        let error = &json_of(&bytes)["error"];
        assert_eq!((seen.as_u16(), error["param"].as_str()), (status, Some(param)), "{members}");
    }
    assert_eq!(market.providers[0].counters.jobs_started(), 0);
}

#[tokio::test]
async fn a_stream_is_never_made_of_it() {
    let market = market(&[json!({})]).await;
    let (status, headers, bytes) =
        ask(market.gateway.addr, &request(json!({"stream": true}))).await;
    assert_eq!(
        (status.as_u16(), &headers["content-type"]),
        (200, &"application/json".parse().expect("a value"))
    );
    assert_eq!(json_of(&bytes)["object"], "list");
}

#[tokio::test]
async fn a_client_who_leaves_takes_the_attempt_along() {
    for script in [json!({"head_ms": 60_000}), json!({"ttft_ms": 60_000})] {
        let market = market(&[script]).await;
        let addr = market.gateway.addr;
        let client = tokio::task::spawn(async move { ask(addr, &request(json!({}))).await });
        market.until(|counters| counters.jobs_started() > 0).await;
        client.abort();
        let _ = client.await;
        market.until(|counters| counters.jobs_cancelled() == 1).await;
    }
}

#[tokio::test]
async fn it_counts_under_its_own_name_with_its_tokens() {
    let market = market(&[json!({})]).await;
    for _ in 0..3 {
        ask(market.gateway.addr, &request(json!({}))).await;
    }
    ask(market.gateway.addr, &request(json!({"input": 7}))).await;
    let has = |line: &str| market.gateway.app.metrics.encode().lines().any(|have| have == line);
    for line in [
        r#"quorate_requests_total{endpoint="embeddings",status_class="2xx",outcome="ok"} 3"#,
        r#"quorate_requests_total{endpoint="embeddings",status_class="4xx",outcome="invalid_request"} 1"#,
        r#"quorate_tokens_total{kind="prompt"} 6"#,
        r#"quorate_tokens_total{kind="completion"} 0"#,
    ] {
        until(|| has(line)).await;
    }
}
