//! What clients may count on while a provider misbehaves in random ways: one identity, only `data:`
//! and comment lines, one end, and their unknown members both ways.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

use crate::harness::{MODEL, chat, content, events, json_of, market, stream};

fn runner(seed: u8) -> TestRunner {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    TestRunner::new_with_rng(Config::default(), rng)
}

/// Maybe this member of a script.
fn maybe(name: &'static str, values: Vec<Value>) -> impl Strategy<Value = Option<(String, Value)>> {
    let member = prop::sample::select(values).prop_map(move |value| (name.to_owned(), value));
    prop::option::weighted(0.3, member)
}

/// Misbehaviour of every kind that does not take time.
fn scripts() -> impl Strategy<Value = Map<String, Value>> {
    let yes = || vec![json!(true)];
    let call = json!({"name": "f", "arguments": "{\"a\": 1}"});
    let one = (
        maybe("reasoning", vec![json!("hm well"), json!("\u{e9}\"\n")]),
        maybe("tool_call", vec![call]),
        maybe("finish_reason", ["", "eos_token", "tool_use", "MAX_TOKENS"].map(Value::from).into()),
        maybe("usage_mode", ["last", "finish_chunk", "all", "none"].map(Value::from).into()),
        maybe("role_chunk", vec![json!(false)]),
        maybe("no_done", yes()),
        maybe("no_finish", yes()),
        maybe("malformed_after", vec![json!(0), json!(2)]),
        maybe("error_after", vec![json!(1), json!(2)]),
    );
    let other = (
        maybe("crlf", yes()),
        maybe("tight", yes()),
        maybe("event_lines", yes()),
        maybe("comment_every", vec![json!(1), json!(2)]),
        maybe("id_missing", yes()),
        maybe("index_missing", yes()),
        maybe("model", vec![json!("theirs")]),
        maybe(
            "extra_members",
            vec![json!({"service_tier": "standard", "x_odd": [1.5, {"y": null}]})],
        ),
        maybe("write_bytes", vec![json!(1), json!(7), json!(100)]),
    );
    (one, other).prop_map(|(one, other)| {
        let (a, b, c, d, e, f, g, h, i) = one;
        let (j, k, l, m, n, o, p, q, r) = other;
        let members = [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r];
        let mut script: Map<String, Value> = members.into_iter().flatten().collect();
        script.insert("tokens".to_owned(), json!(4));
        script
    })
}

/// Reads a stream as a strict client does; whether it was a good one.
fn check(body: &Bytes, what: &str) -> bool {
    let text = std::str::from_utf8(body).expect("UTF-8");
    // A stream of CR LF may end with the CR of its last blank line, which ends it just as well.
    for line in text.lines().map(|line| line.trim_end_matches('\r')) {
        let fits = line.is_empty() || line.starts_with("data: ") || line.starts_with("data:{");
        assert!(fits || line.starts_with(':') || line == "data:[DONE]", "{line:?}: {what}");
    }
    let events = events(body);
    let (last, before) = events.split_last().unwrap_or_else(|| panic!("nothing: {what}"));
    let mut identities = HashSet::new();
    for event in before {
        let chunk: Value = serde_json::from_str(event).unwrap_or_else(|e| panic!("{e}: {event}"));
        assert!(chunk["id"].is_string() && chunk["created"].is_i64(), "{event}: {what}");
        assert_eq!(chunk["model"], MODEL, "{event}: {what}");
        assert!(chunk["service_tier"].is_null(), "{event}: {what}");
        identities.insert((chunk["id"].to_string(), chunk["created"].to_string()));
        for choice in chunk["choices"].as_array().expect("choices") {
            let (delta, reason) = (&choice["delta"], &choice["finish_reason"]);
            assert_eq!(delta["reasoning"], delta["reasoning_content"], "{event}: {what}");
            let known = ["stop", "tool_calls", "length"].iter().any(|known| reason == known);
            assert!(known || reason.is_null(), "{event}: {what}");
        }
    }
    assert!(identities.len() <= 1, "{identities:?}: {what}");
    if last == "[DONE]" {
        return true;
    }
    let last: Value = serde_json::from_str(last).expect("JSON");
    assert!(last["error"]["message"].is_string(), "{last}: {what}");
    false
}

#[tokio::test]
async fn hold_whatever_a_provider_does() {
    let market = market(&[json!({})]).await;
    let (mut runner, strategy) = (runner(41), scripts());
    let mut good = 0;
    for _ in 0..120 {
        let script = strategy.new_tree(&mut runner).expect("a script").current();
        let what = Value::Object(script.clone()).to_string();
        // A member that the gateway does not know: it reaches the provider.
        let (status, _, body) = market.ask(&stream(json!({"script": script}))).await;
        let whole = market.ask(&chat(json!({"script": script}))).await;
        if status == 200 {
            let is_good = check(&body, &what);
            good += usize::from(is_good);
            assert_eq!(whole.0 == 200, is_good, "{what}: {whole:?}");
        } else {
            assert!(json_of(&body)["error"]["message"].is_string(), "{what}: {body:?}");
        }
        if whole.0 == 200 {
            let message = json_of(&whole.2)["choices"][0]["message"].clone();
            assert_eq!(message["reasoning"], message["reasoning_content"], "{what}");
            let text = content(&events(&body));
            assert_eq!(message["content"].as_str().unwrap_or_default(), text, "{what}");
        }
    }
    // Both sides of the rules were seen.
    assert!((30..110).contains(&good), "{good} good streams");
}

#[tokio::test]
async fn unknown_members_of_an_answer_reach_the_client() {
    let extra =
        json!({"x_list": [1, {"deep": [[]]}], "x_text": "\u{e9}\u{1F600}\"\\", "x_null": null});
    let script = json!({"tokens": 3, "extra_members": extra});
    let market = market(&[script]).await;
    let (_, _, body) = market.ask(&stream(json!({}))).await;
    let chunks = events(&body);
    for event in &chunks[..chunks.len() - 1] {
        let chunk: Value = serde_json::from_str(event).expect("JSON");
        for (name, value) in extra.as_object().expect("members") {
            assert_eq!(&chunk[name], value, "{event}");
        }
    }
    let (_, _, body) = market.ask(&chat(json!({}))).await;
    for (name, value) in extra.as_object().expect("members") {
        assert_eq!(&json_of(&body)[name], value, "{body:?}");
    }
}
