//! Fronting another server: here a scripted provider, which is one.

use crate::client::{Client, MODEL, eventually, jobs, read_until, rest, scripted, without_id};
use provider::app::Running;
use provider::counters::Counters;
use provider::engine::upstream::{ApiKey, ModelMap, Options, Upstream};
use provider::testing;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

fn options(base: std::net::SocketAddr) -> Options {
    Options {
        base_url: format!("http://{base}/v1").parse().unwrap(),
        api_key: Some(ApiKey::new("sk-canary").unwrap()),
        models: vec![ModelMap {
            id: "ours".to_owned(),
            upstream_model: MODEL.to_owned(),
            context_length: Some(4096),
            ..ModelMap::default()
        }],
        max_concurrent: 4,
        connect_timeout: Duration::from_secs(5),
        header_timeout: Duration::from_secs(60),
        idle_timeout: Duration::from_secs(20),
        refresh: Duration::from_secs(60),
        scorer: None,
    }
}

async fn front(options: Options) -> (Running, Client) {
    let counters = Arc::new(Counters::default());
    let engine = Arc::new(Upstream::new(options, Arc::clone(&counters)).unwrap());
    engine.refresh().await;
    let running = testing::serve(engine, counters).await.unwrap();
    let client = Client::new(running.addr);
    (running, client)
}

#[tokio::test]
async fn bytes_come_back_as_they_are() {
    let (back, direct) = scripted(json!({"tokens": 5})).await;
    let (running, client) = front(options(back.addr)).await;
    for members in [json!({"stream": true, "model": "ours"}), json!({"model": "ours"})] {
        let relayed = client.chat(members.clone()).await;
        let mut same = members;
        same["model"] = json!(MODEL);
        let own = direct.chat(same).await;
        assert_eq!(relayed.status, 200, "{}", relayed.text);
        assert_eq!(relayed.headers["content-type"], own.headers["content-type"]);
        assert_eq!(without_id(&relayed.text), without_id(&own.text));
    }
    assert_eq!(jobs(&running.counters), (2, 2, 0));
}

#[tokio::test]
async fn embeddings_are_relayed_too() {
    let (back, direct) = scripted(json!({})).await;
    let (running, client) = front(options(back.addr)).await;
    let relayed = client.embed(json!({"model": "ours", "encoding_format": "base64"})).await;
    assert_eq!(relayed.text, direct.embed(json!({"encoding_format": "base64"})).await.text);
    // What is wrong with it is the foreign server's to say.
    let wrong = client.embed(json!({"model": "ours", "input": ""})).await;
    assert_eq!(wrong.text, direct.embed(json!({"input": ""})).await.text);
    assert_eq!(jobs(&running.counters), (2, 2, 0));
}

#[tokio::test]
async fn what_the_foreign_server_takes_is_not_ours_to_refuse() {
    let (back, _) = scripted(json!({"tokens": 1})).await;
    let (_running, client) = front(options(back.addr)).await;
    let two = client.chat(json!({"model": "ours", "n": 2})).await.json();
    assert_eq!(two["choices"].as_array().unwrap().len(), 2);
    // Its own judgement comes back as it is, status and all.
    let refused = client.chat(json!({"model": "ours", "temperature": 9})).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.error()["param"], "temperature");
}

#[tokio::test]
async fn models_are_mapped_or_listed() {
    let (back, _) = scripted(json!({})).await;
    let (_running, client) = front(options(back.addr)).await;
    let list = client.get("/v1/models").await.json();
    assert_eq!(list["data"][0]["id"], "ours");
    assert_eq!(list["data"][0]["context_length"], 4096);
    assert_eq!(client.chat(json!({})).await.status, 404, "its own name is not served");
    let (_running, all) = front(Options { models: Vec::new(), ..options(back.addr) }).await;
    assert_eq!(all.get("/v1/models").await.json()["data"][0]["id"], MODEL);
    assert_eq!(all.chat(json!({})).await.status, 200);
}

#[tokio::test]
async fn a_server_that_is_down_is_unavailable_and_not_ready() {
    let (back, _) = scripted(json!({})).await;
    let addr = back.addr;
    back.stop().await;
    let (_running, client) = front(options(addr)).await;
    assert_eq!(client.get("/readyz").await.status, 503);
    let answer = client.chat(json!({"model": "ours"})).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.error()["code"], "unavailable");
}

#[tokio::test]
async fn its_quarrel_with_our_key_is_not_the_callers() {
    let (back, _) =
        scripted(json!({"status": 401, "body": "{\"error\":\"bad key sk-canary\"}"})).await;
    let (_running, client) = front(options(back.addr)).await;
    let answer = client.chat(json!({"model": "ours"})).await;
    assert_eq!(answer.status, 503);
    assert!(!answer.text.contains("canary"), "{}", answer.text);
}

#[tokio::test(start_paused = true)]
async fn breaks_and_silence_there_are_breaks_here() {
    let (back, _) = scripted(json!({})).await;
    let (_running, client) = front(options(back.addr)).await;
    for script in [
        json!({"tokens": 9, "cut_after": 2}),
        json!({"tokens": 9, "stall_after": 2, "stall_ms": 100_000, "comment_every": 1_000}),
    ] {
        // Keep-alive comments would fill the silence; a stalled foreign server writes none.
        let quiet = json!({"model": "ours", "stream": true, "script": script});
        let response = client.open(client.chat_request(quiet)).await;
        let (text, whole) = rest(response.into_body()).await;
        assert!(!whole, "{script}: {text}");
        assert!(text.contains("tok1") && !text.contains("[DONE]"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_who_leaves_here_leaves_there() {
    let (back, _) = scripted(json!({"tokens": 10_000, "itl_ms": 100})).await;
    let (running, client) = front(options(back.addr)).await;
    let request = client.chat_request(json!({"model": "ours", "stream": true}));
    let mut body = client.open(request).await.into_body();
    read_until(&mut body, "tok3").await;
    drop(body);
    eventually("cancelled here", || jobs(&running.counters).2 == 1).await;
    eventually("cancelled there", || jobs(&back.counters).2 == 1).await;
}

/// The client's library logs the address it connects to.
#[test]
fn a_base_url_with_a_password_is_refused() {
    let mut options = options(([127, 0, 0, 1], 1).into());
    options.base_url = "http://user:hidden@127.0.0.1:1/v1".parse().unwrap();
    let error = Upstream::new(options, Arc::default()).unwrap_err().to_string();
    assert!(error.contains("base_url") && !error.contains("hidden"), "{error}");
}
