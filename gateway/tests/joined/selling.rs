//! What nodes sell, under which names, at which prices, and by which link.

use http::StatusCode;
use provider::offer::{Prices, Terms};
use serde_json::{Value, json};

use crate::harness::{MODEL, chat, gateway, node, stream, until_future};

#[tokio::test]
async fn a_direct_link_serves_pinned_both_ways() {
    let gateway = gateway(|market| market.direct_private = true).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let addr = listener.local_addr().expect("an address");
    let url = format!("https://{addr}").parse().expect("a URL");
    let joined = [&gateway];
    let provider = node(&joined, json!({"tokens": 3}), |joining, _| {
        joining.direct = Some((listener, url));
    });
    let provider = provider.await;
    gateway.until_offers(1).await;
    for _ in 0..3 {
        let (status, _, body) = gateway.ask(&chat()).await;
        assert_eq!(status, StatusCode::OK, "{body:?}");
    }
    assert_eq!(provider.counters.jobs_finished(), 3);
    // Nobody else gets in: no certificate, no handshake; no lease, no answer.
    let tls = identity::tls::client(identity::tls::Server::Anyone, None).expect("a configuration");
    let tls = tokio_rustls::TlsConnector::from(std::sync::Arc::new(tls));
    let socket = tokio::net::TcpStream::connect(addr).await.expect("connects");
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    let shaken = async {
        let mut stream = tls.connect(name, socket).await?;
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.1\r\n\r\n").await?;
        let mut read = [0; 1];
        tokio::io::AsyncReadExt::read(&mut stream, &mut read).await
    };
    assert!(!matches!(until_future(shaken).await, Ok(1..)), "served without a certificate");
    gateway.running.stop().await;
}

#[tokio::test]
async fn weights_that_are_not_listed_are_sold_under_the_nodes_own_name() {
    let gateway = gateway(|_| {}).await;
    let other = format!("b3:{}", "ab".repeat(32));
    let joined = [&gateway];
    let provider = node(&joined, json!({"tokens": 3}), |_, options| {
        options.weights_id = Some(other);
    });
    let provider = provider.await;
    let list = async {
        loop {
            let models = gateway.get("/v1/models").await;
            let ids = models["data"].as_array().expect("a list").iter();
            let id =
                ids.filter_map(|model| model["id"].as_str()).find(|id| id.starts_with("mine@"));
            if let Some(id) = id {
                return id.to_owned();
            }
        }
    };
    let id = until_future(list).await;
    let mut body = chat();
    body["model"] = json!(id);
    let (status, _, bytes) = gateway.ask(&body).await;
    assert_eq!(status, StatusCode::OK, "{bytes:?}");
    let (status, _, bytes) = gateway.ask(&chat()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{bytes:?}");
    let endpoints = gateway.get(&format!("/v1/models/{id}/endpoints")).await;
    assert_eq!(endpoints["data"][0]["verified"], json!(false), "{endpoints}");
    assert_eq!(provider.counters.jobs_finished(), 1);
    gateway.running.stop().await;
}

#[tokio::test]
async fn who_requires_that_all_is_acted_on_gets_who_declares_it() {
    let gateway = gateway(|_| {}).await;
    let joined = [&gateway];
    let provider = node(&joined, json!({"tokens": 3}), |_, _| {}).await;
    gateway.until_offers(1).await;
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let image = json!([{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]);
    for (member, value, lacks) in [
        ("temperature", json!(0.5), None),
        ("tools", tools, None),
        ("logprobs", json!(true), None),
        ("messages", image, Some("media in messages")),
        ("reasoning_effort", json!("low"), Some("reasoning_effort")),
    ] {
        let mut body = chat();
        body["provider"] = json!({"require_parameters": true});
        body[member] = value;
        let (status, _, bytes) = gateway.ask(&body).await;
        let Some(lacks) = lacks else {
            assert_eq!(status, StatusCode::OK, "{member}: {bytes:?}");
            continue;
        };
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{member}: {bytes:?}");
        let error: Value = serde_json::from_slice(&bytes).expect("JSON");
        let message = error["error"]["message"].as_str().expect("a message");
        assert!(message.contains("provider.require_parameters"), "{message}");
        assert!(message.contains(lacks), "{message}");
    }
    assert_eq!(provider.counters.jobs_started(), 3);
    gateway.running.stop().await;
}

#[tokio::test]
async fn new_prices_are_in_force_with_the_next_request() {
    let gateway = gateway(|_| {}).await;
    let joined = [&gateway];
    let provider = node(&joined, json!({"tokens": 3}), |joining, _| {
        joining.terms = terms(1);
    });
    let provider = provider.await;
    gateway.until_offers(1).await;
    let mut body = chat();
    body["provider"] = json!({"max_price": {"prompt": 1.0}});
    let (status, _, bytes) = gateway.ask(&body).await;
    assert_eq!(status, StatusCode::OK, "{bytes:?}");
    provider.reprice(terms(4), None).expect("a new offer");
    let path = format!("/v1/models/{MODEL}/endpoints");
    let seen = async {
        while gateway.get(&path).await["data"][0]["prompt_usd_per_million"] != json!(2.0) {}
    };
    until_future(seen).await;
    let (status, _, bytes) = gateway.ask(&body).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{bytes:?}");
    let error: Value = serde_json::from_slice(&bytes).expect("JSON");
    let message = error["error"]["message"].as_str().expect("a message");
    assert!(message.contains("max_price.prompt"), "{message}");
    gateway.running.stop().await;
}

/// Both ways, in half dollars per million tokens.
fn terms(halves: u64) -> Terms {
    let pusd = halves * 500_000;
    let prices = Prices { prompt: pusd, completion: pusd, cached: None };
    Terms { prices, ..Terms::default() }
}

#[tokio::test]
async fn the_receipt_of_a_nodes_answer_names_its_keys_and_what_it_ran() {
    let gateway = gateway(|_| {}).await;
    let _provider = node(&[&gateway], json!({"tokens": 3}), |_, _| {}).await;
    gateway.until_offers(1).await;
    let (_, headers, answer) = gateway.ask(&stream()).await;
    let id = headers["x-quorate-receipt"].to_str().expect("text");
    let written = async {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(5));
        loop {
            ticks.tick().await;
            let receipt = gateway.get(&format!("/v1/receipts/{id}")).await;
            if receipt["object"] == "receipt" {
                return receipt;
            }
        }
    };
    let receipt = until_future(written).await;
    let keys = gateway.get("/v1/receipts/keys").await;
    let key = keys["data"][0]["key"].as_str().expect("text").parse().expect("a key");
    let (receipt, request) = (receipt.to_string(), stream().to_string());
    let (request, answer) = (Some(request.as_bytes()), Some(&answer[..]));
    let claims =
        openapi::receipt::verify(receipt.as_bytes(), request, answer, &[key]).expect("it holds");
    let provider = claims.provider.expect("it answered");
    let (node, name) =
        (provider.node_key.expect("a node's"), headers["x-quorate-provider"].clone());
    assert!(name.to_str().expect("text").contains(&node.short()), "{name:?} of {node}");
    assert!(provider.operator_key.is_some_and(|key| key != node));
    let origin = claims.provenance.expect("told");
    assert_eq!(origin.weights_id, provider::engine::scripted::weights_id());
    assert_eq!(claims.key, None, "nobody is asked for one here");
    gateway.running.stop().await;
}
