//! Nodes whose connection is cut in mid-answer: another goes on with the very next token, and the client
//! sees the answer that a lone node gives.

use bytes::Bytes;
use gateway::route::Gate;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::harness::{Gateway, MODEL, gateway, gateway_with, node, post, until};

const CHAT: &str = "/v1/chat/completions";

async fn asked(gateway: &Gateway, path: &str, body: &Value) -> String {
    let answer = post(gateway.running.addr, path, Bytes::from(body.to_string())).await;
    assert_eq!(answer.status(), 200);
    let bytes = answer.into_body().collect().await.expect("a whole body").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// All that two answers have to have in common: everything but id and time, and comments.
fn told(stream: &str) -> Vec<Value> {
    let events = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    let told = events.map(|event| match serde_json::from_str::<Value>(event) {
        Ok(mut chunk) => {
            chunk["id"] = Value::Null;
            chunk["created"] = Value::Null;
            chunk
        }
        Err(_) => json!(event),
    });
    told.collect()
}

fn ids(stream: &str) -> Vec<String> {
    let events = stream.lines().filter_map(|line| line.strip_prefix("data: {"));
    let chunks = events.map(|e| serde_json::from_str::<Value>(&format!("{{{e}")).expect("JSON"));
    let mut ids: Vec<String> =
        chunks.filter_map(|chunk| Some(chunk["id"].as_str()?.to_owned())).collect();
    ids.dedup();
    ids
}

/// A script in which every node is cut after so many tokens of its own.
fn cut(script: &Value, after: u32) -> Value {
    let mut script = script.clone();
    script["cut_after"] = json!(after);
    // Slow enough for what was sent to arrive before the cut.
    script["itl_ms"] = json!(3);
    script
}

#[tokio::test]
async fn two_halves_are_the_lone_answer() {
    let words: Vec<String> = (0..60).map(|number| format!("w{number}")).collect();
    let words = words.join(" ");
    let call = json!({"name": "f", "arguments": words});
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let schema = json!({"type": "json_schema", "json_schema": {"name": "s", "schema": {}}});
    let usage = json!({"include_usage": true});
    let chat = |more: Value| {
        let mut body = json!({"model": MODEL, "stream": true, "stream_options": usage,
            "messages": [{"role": "user", "content": "go"}]});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("members").clone());
        (CHAT, body)
    };
    let text = json!({"model": MODEL, "stream": true, "prompt": "go", "max_tokens": 60});
    for (script, (path, body)) in [
        (json!({"tokens": 60}), chat(json!({}))),
        (json!({"tokens": 60}), chat(json!({"logprobs": true, "top_logprobs": 2}))),
        (json!({"text": words}), chat(json!({"response_format": schema}))),
        (json!({"tool_call": call}), chat(json!({ "tools": tools }))),
        (json!({"reasoning": words, "text": "so it is"}), chat(json!({}))),
        (json!({"tokens": 60}), chat(json!({"max_tokens": 50}))),
        (json!({"tokens": 60}), ("/v1/completions", text)),
    ] {
        let alone = gateway(|_| {}).await;
        let _one = node(&[&alone], script.clone(), |_, _| {}).await;
        alone.until_offers(1).await;
        let whole = asked(&alone, path, &body).await;
        let both = gateway(|_| {}).await;
        let _first = node(&[&both], cut(&script, 40), |_, _| {}).await;
        let _second = node(&[&both], cut(&script, 40), |_, _| {}).await;
        both.until_offers(2).await;
        let joined = asked(&both, path, &body).await;
        assert_eq!(told(&joined), told(&whole), "{script}: {joined}");
        assert_eq!(ids(&joined).len(), 1, "{joined}");
        assert_eq!(joined.matches(": quorate fail-over\n\n").count(), 1, "{joined}");
        assert!(joined.ends_with("data: [DONE]\n\n"), "{joined}");
        both.running.stop().await;
        alone.running.stop().await;
    }
}

#[tokio::test]
async fn a_response_is_one_too() {
    let words: Vec<String> = (0..60).map(|number| format!("w{number}")).collect();
    let call = json!({"name": "f", "arguments": words.join(" ")});
    let tools = json!([{"type": "function", "name": "f", "parameters": {"type": "object"}}]);
    // All but names and times.
    let events = |stream: &str| -> Vec<Value> {
        let events = stream.lines().filter_map(|line| line.strip_prefix("data: "));
        let events = events.map(|event| {
            let mut event: Value = serde_json::from_str(event).expect("JSON");
            let usage = event["response"]["usage"].take();
            let output = event["response"]["output"].take();
            let outputs = output.as_array().map(Vec::len);
            json!([event["type"], event["delta"], event["sequence_number"], usage, outputs])
        });
        events.collect()
    };
    for script in [
        json!({"tokens": 60}),
        json!({"tool_call": call}),
        json!({"reasoning": "a b c d", "tokens": 56}),
    ] {
        let body = json!({"model": MODEL, "stream": true, "input": "go", "tools": tools});
        let alone = gateway(|_| {}).await;
        let _one = node(&[&alone], script.clone(), |_, _| {}).await;
        alone.until_offers(1).await;
        let whole = asked(&alone, "/v1/responses", &body).await;
        let both = gateway(|_| {}).await;
        let _first = node(&[&both], cut(&script, 40), |_, _| {}).await;
        let _second = node(&[&both], cut(&script, 40), |_, _| {}).await;
        both.until_offers(2).await;
        let joined = asked(&both, "/v1/responses", &body).await;
        assert!(whole.contains("response.completed"), "{whole}");
        assert_eq!(events(&joined), events(&whole), "{joined}");
        both.running.stop().await;
        alone.running.stop().await;
    }
}

#[tokio::test]
async fn a_whole_answer_is_made_of_halves_too() {
    let gateway = gateway(|_| {}).await;
    let script = cut(&json!({"tokens": 60}), 25);
    let nodes = [
        node(&[&gateway], script.clone(), |_, _| {}).await,
        node(&[&gateway], script.clone(), |_, _| {}).await,
        node(&[&gateway], script, |_, _| {}).await,
    ];
    gateway.until_offers(3).await;
    // Nobody makes more than 25 tokens: without going on there would be no answer.
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "go"}]});
    let (status, headers, bytes) = gateway.ask(&body).await;
    assert_eq!(status, 200, "{bytes:?}");
    assert_eq!(headers["x-quorate-attempts"], "3");
    let answer: Value = serde_json::from_slice(&bytes).expect("JSON");
    let text: Vec<String> = (0..60).map(|number| format!(" tok{number}")).collect();
    assert_eq!(answer["choices"][0]["message"]["content"], text.concat());
    assert_eq!(answer["usage"]["completion_tokens"], 60);
    let made: u64 = nodes.iter().map(|node| node.counters.tokens_generated()).sum();
    assert!(made <= 75, "{made} tokens for 60");
    gateway.running.stop().await;
}

#[tokio::test]
async fn other_weights_never_go_on() {
    let other = format!("b3:{}", "7".repeat(64));
    let listed = other.clone();
    let gateway =
        gateway_with(|settings| settings.models[0].weights_ids.push(listed.clone())).await;
    let script = cut(&json!({"tokens": 60}), 40);
    let _one = node(&[&gateway], script.clone(), |_, _| {}).await;
    let _two = node(&[&gateway], script, |_, options| options.weights_id = Some(other)).await;
    gateway.until_offers(2).await;
    let body = json!({"model": MODEL, "stream": true,
        "messages": [{"role": "user", "content": "go"}]});
    let text = asked(&gateway, CHAT, &body).await;
    assert!(text.contains(" tok3") && text.contains("\"error\""), "{text}");
    assert!(!text.contains("[DONE]") && !text.contains("fail-over"), "{text}");
    gateway.running.stop().await;
}

/// A node that tells ids which do not make its text, and dies: whoever is to go on finds out, and has
/// done nothing wrong.
#[tokio::test]
async fn who_would_give_another_answer_is_not_blamed() {
    let gateway = gateway(|_| {}).await;
    let words = vec!["a-very-long-word"; 60].join(" ");
    let _liar = node(&[&gateway], cut(&json!({"text": words}), 10), |_, _| {}).await;
    gateway.until_offers(1).await;
    let name_of = |place: usize| {
        let model = gateway.running.app.market.snapshot().model(MODEL).expect("is sold").clone();
        model.offers[place].endpoint.id.to_string()
    };
    let liar = name_of(0);
    let honest = node(&[&gateway], json!({"tokens": 60}), |_, _| {}).await;
    gateway.until_offers(2).await;
    let body = json!({"model": MODEL, "stream": true, "provider": {"order": [liar.clone()]},
        "messages": [{"role": "user", "content": "go"}]});
    for _ in 0..6 {
        let text = asked(&gateway, CHAT, &body).await;
        assert!(text.contains("\"error\"") != text.contains("tok59"), "{text}");
    }
    assert!(honest.counters.jobs_started() > 0, "the liar is ejected");
    let model = gateway.running.app.market.snapshot().model(MODEL).expect("is sold").clone();
    for offer in &model.offers {
        let is_liar = *offer.endpoint.id == *liar;
        let is_closed = offer.learned.gate(u64::MAX / 2) == Gate::Closed;
        assert_ne!(is_closed, is_liar, "{}", offer.endpoint.id);
    }
    gateway.running.stop().await;
}

#[tokio::test]
async fn a_whole_answer_is_not_gone_on_with_for_ever() {
    let gateway = gateway(|_| {}).await;
    let script = cut(&json!({"tokens": 60}), 2);
    let mut nodes = Vec::new();
    for _ in 0..9 {
        nodes.push(node(&[&gateway], script.clone(), |_, _| {}).await);
    }
    gateway.until_offers(9).await;
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "go"}]});
    let (status, _, bytes) = gateway.ask(&body).await;
    assert_eq!(status, 502, "{bytes:?}");
    let asked: u64 = nodes.iter().map(|node| node.counters.jobs_started()).sum();
    // Three attempts, and two that go on.
    assert!((3..=5).contains(&asked), "{asked}");
    gateway.running.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_meanwhile_is_noticed() {
    let gateway = gateway(|_| {}).await;
    let first = node(&[&gateway], cut(&json!({"tokens": 60}), 5), |_, _| {}).await;
    gateway.until_offers(1).await;
    let model = gateway.running.app.market.snapshot().model(MODEL).expect("is sold").clone();
    let name = model.offers[0].endpoint.id.to_string();
    let second = node(&[&gateway], json!({"tokens": 60, "ttft_ms": 60_000}), |_, _| {}).await;
    gateway.until_offers(2).await;
    let body = json!({"model": MODEL, "stream": true, "provider": {"order": [name]},
        "messages": [{"role": "user", "content": "go"}]});
    let mut answer = gateway.send(&body).await.into_body();
    answer.frame().await.expect("a frame").expect("bytes");
    // Somebody must read for the failure to be noticed.
    let reading = tokio::task::spawn(async move { while answer.frame().await.is_some() {} });
    until(|| second.counters.jobs_started() == 1).await;
    reading.abort();
    until(|| second.counters.jobs_cancelled() == 1).await;
    assert_eq!(first.counters.jobs_started(), 1);
    gateway.running.stop().await;
}
