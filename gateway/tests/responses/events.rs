//! A chat stream, and the events it becomes: for every fixture of a provider's stream, and for streams
//! made at random.

use bytes::Bytes;
use gateway::responses::{Events, Frame, translate, whole};
use gateway::stream::{Assembler, Fallback, Limits, Out, Plan, Relay, UsageMode};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

use crate::grammar::{output_text, parse, replay};

const NOW: i64 = 1_800_000_000;

fn frame() -> Frame {
    let request = br#"{"model":"asked","input":"x","tools":[{"type":"function","name":"f"}]}"#;
    translate(request).expect("a request").frame.named("req_1", 1_700_000_000)
}

fn plan() -> Plan {
    Plan {
        model: Arc::from("qwen3-8b"),
        identity: None,
        fallback: Fallback { id: Arc::from("chatcmpl-fallback"), created: 1_700_000_000 },
        usage: UsageMode::Pass,
        evidence: false,
        limits: Limits::default(),
        choices: 1,
    }
}

/// What the client gets of a relayed stream that comes in these pieces.
fn told<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut events = Events::new(frame(), 1 << 20, 1 << 20);
    let mut out = Vec::new();
    for piece in pieces {
        out.extend_from_slice(&events.push(piece, NOW));
    }
    out.extend_from_slice(&events.finish());
    String::from_utf8(out).expect("UTF-8")
}

/// What the gateway relays of a provider's stream; `None` where it refuses it.
fn relayed(input: &[u8]) -> Option<Vec<u8>> {
    let (mut relay, mut out) = (Relay::new(plan()), Out::default());
    relay.push(Bytes::copy_from_slice(input), &mut out).ok()?;
    relay.finish(&mut out).ok()?;
    let mut bytes = Vec::new();
    while let Some(piece) = out.pop() {
        bytes.extend_from_slice(&piece);
    }
    Some(bytes)
}

fn assembled(input: &[u8]) -> Bytes {
    let mut assembler = Assembler::new(plan());
    assembler.push(Bytes::copy_from_slice(input)).expect("a stream");
    assembler.finish().expect("an answer").body
}

#[test]
fn every_fixture_becomes_a_well_formed_stream_that_ends_as_the_whole_answer_does() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("fixtures") {
        let path = entry.expect("an entry").path();
        let legacy = path.ends_with("legacy_completion.sse");
        if legacy || path.extension().is_none_or(|extension| extension != "sse") {
            continue;
        }
        let input = std::fs::read(&path).expect("a fixture");
        let Some(chat) = relayed(&input) else { continue };
        let text = told([&*chat]);
        let last = replay(&parse(&text));
        let whole = whole(frame(), &assembled(&input), NOW).expect("an answer");
        let whole: Value = serde_json::from_slice(&whole).expect("JSON");
        assert_eq!(last, whole, "{}", path.display());
        let bytewise = told(chat.chunks(1));
        assert_eq!(bytewise, text, "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 25, "{seen} fixtures");
}

#[test]
fn comments_pass_and_nothing_follows_the_end() {
    let chat = ": keep-alive\n\ndata: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":\
        {\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n: keep-alive\n\ndata: [DONE]\n\n";
    let text = told([chat.as_bytes(), b"data: {\"choices\":[]}\n\n: late\n\n"]);
    assert!(text.starts_with(": keep-alive\n\nevent: response.created\n"), "{text}");
    assert_eq!(text.matches(": keep-alive\n\n").count(), 2);
    assert!(!text.contains("late") && !text.contains("[DONE]"), "{text}");
    assert!(text.trim_end().lines().last().unwrap().contains("response.completed"), "{text}");
    assert_eq!(output_text(&replay(&parse(&text))), "a");
}

fn chunk(delta: &Value, finish: &Value) -> String {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
    format!("data: {}\n\n", json!({"model": "m", "choices": [choice]}))
}

#[test]
fn a_stream_without_evidence_of_its_end_fails() {
    let piece = chunk(&json!({"content": "half"}), &Value::Null);
    let stop = chunk(&json!({}), &json!("stop"));
    for (chat, code, words) in [
        (String::new(), "server_error", "before it was complete"),
        (piece.clone(), "server_error", "before it was complete"),
        // The relay would not end so; a finish alone is no end.
        (format!("{piece}{stop}"), "server_error", "before it was complete"),
        (format!("{piece}data: [DONE]\n\n"), "server_error", "before it was complete"),
        (format!("{piece}data: {{nonsense\n\n"), "server_error", "could not be read"),
        (
            format!(
                "{piece}data: {}\n\n",
                json!({"error": {"message": "slow down",
                "type": "rate_limit_error", "param": null, "code": "provider_rate_limited"}})
            ),
            "rate_limit_exceeded",
            "slow down",
        ),
        (
            format!(
                "{piece}data: {}\n\n",
                json!({"error": {"message": "boom",
                "type": "server_error", "param": null, "code": "timeout"}})
            ),
            "server_error",
            "boom",
        ),
    ] {
        let last = replay(&parse(&told([chat.as_bytes()])));
        assert_eq!(last["status"], "failed", "{chat}");
        assert_eq!(last["error"]["code"], code, "{chat}");
        assert!(last["error"]["message"].as_str().unwrap().contains(words), "{last}");
        assert_eq!(last["completed_at"], Value::Null);
        assert_eq!(output_text(&last), if chat.is_empty() { "" } else { "half" });
    }
}

#[test]
fn what_some_servers_put_where_there_is_nothing_is_nothing() {
    // As the relay has it: these are no errors, no calls and no alternatives.
    for nothing in ["null", "false", "\"\"", "{}"] {
        let input = format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"a\"}},\"logprobs\":\
             {{\"content\":[{{\"token\":\"a\",\"logprob\":-1,\"bytes\":null,\"top_logprobs\":null}}]}},\
             \"finish_reason\":\"stop\"}}],\"error\":{nothing}}}\n\ndata: [DONE]\n\n"
        );
        let chat = relayed(input.as_bytes()).expect("the relay takes it");
        let last = replay(&parse(&told([&*chat])));
        assert_eq!(
            (&last["status"], &*output_text(&last)),
            (&json!("completed"), "a"),
            "{nothing}"
        );
        assert_eq!(last["output"][0]["content"][0]["logprobs"][0]["top_logprobs"], json!([]));
    }
    let input = "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\
         \"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\
         \"function\":null}]},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n";
    let chat = relayed(input.as_bytes()).expect("the relay takes it");
    assert_eq!(replay(&parse(&told([&*chat])))["output"][0]["arguments"], "{}");
}

#[test]
fn calls_of_a_whole_answer_are_as_many_as_are_listed() {
    // Some servers give each of them index 0.
    let call = |id: &str| {
        json!({"index": 0, "id": id, "type": "function",
            "function": {"name": "f", "arguments": format!("{{\"of\":\"{id}\"}}")}})
    };
    let message = json!({"role": "assistant", "content": null,
        "tool_calls": [call("a"), call("b")]});
    let chat = json!({"model": "m", "choices":
        [{"index": 0, "message": message, "finish_reason": "tool_calls"}]});
    let answer = whole(frame(), chat.to_string().as_bytes(), NOW).expect("an answer");
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    let output = answer["output"].as_array().expect("items");
    let ids: Vec<&Value> = output.iter().map(|item| &item["call_id"]).collect();
    assert_eq!(ids, ["a", "b"], "{answer}");
    assert_eq!(output[1]["arguments"], "{\"of\":\"b\"}");
}

#[test]
fn what_is_kept_of_an_answer_is_bounded() {
    let mut events = Events::new(frame(), 1 << 20, 10_000);
    let piece = chunk(&json!({"content": "x".repeat(100)}), &Value::Null);
    let mut text = String::new();
    for _ in 0..200 {
        text += std::str::from_utf8(&events.push(piece.as_bytes(), NOW)).expect("UTF-8");
    }
    assert!(events.is_broken());
    text += std::str::from_utf8(&events.finish()).expect("UTF-8");
    let last = replay(&parse(&text));
    assert_eq!(last["error"]["message"], "The provider's answer is longer than 10000 bytes.");
    // As it is printed: six bytes each.
    let mut events = Events::new(frame(), 1 << 20, 10_000);
    let piece = chunk(&json!({"content": "\u{1}".repeat(2_000)}), &Value::Null);
    events.push(piece.as_bytes(), NOW);
    assert!(events.is_broken());
    let long = "x".repeat(20_000);
    let token = json!({"token": long, "logprob": -1, "bytes": null, "top_logprobs": []});
    let rival = json!({"token": "x", "logprob": -1, "bytes": null, "top_logprobs": [token]});
    let call = |id: &str| json!({"tool_calls": [{"index": 0, "id": id, "function": {}}]});
    for (delta, logprobs) in [
        (json!({}), json!({"content": [token]})),
        (json!({}), json!({"content": [rival]})),
        (call(&long), Value::Null),
    ] {
        let mut events = Events::new(frame(), 1 << 20, 10_000);
        let choice = json!({"index": 0, "delta": delta, "logprobs": logprobs});
        events.push(format!("data: {}\n\n", json!({"choices": [choice]})).as_bytes(), NOW);
        assert!(events.is_broken(), "{delta}");
    }
    let calls: String = (0..2000)
        .map(|index| {
            let call = json!({"index": index, "id": "c", "function": {"name": "f"}});
            chunk(&json!({"tool_calls": [call]}), &Value::Null)
        })
        .collect();
    let last = replay(&parse(&told([calls.as_bytes()])));
    assert!(last["error"]["message"].as_str().unwrap().contains("1024 functions"), "{last}");
    let long = format!("data: {}\n\n", "x".repeat(2 << 20));
    assert_eq!(replay(&parse(&told([long.as_bytes()])))["status"], "failed");
}

#[test]
fn the_reason_of_the_end_is_the_status() {
    let text = chunk(&json!({"content": "some"}), &Value::Null);
    let call = json!({"tool_calls": [{"index": 0, "id": "c1", "function":
        {"name": "f", "arguments": "{"}}]});
    let call = chunk(&call, &Value::Null);
    for (before, reason, status, details, items) in [
        (&text, "stop", "completed", Value::Null, vec!["completed"]),
        (&text, "length", "incomplete", json!({"reason": "max_output_tokens"}), vec!["incomplete"]),
        (
            &text,
            "content_filter",
            "incomplete",
            json!({"reason": "content_filter"}),
            vec!["incomplete"],
        ),
        (&call, "tool_calls", "completed", Value::Null, vec!["completed"]),
        (&call, "length", "incomplete", json!({"reason": "max_output_tokens"}), vec!["incomplete"]),
        // A completed answer has something to show, even if nothing was said.
        (&String::new(), "stop", "completed", Value::Null, vec!["completed"]),
        (&String::new(), "length", "incomplete", json!({"reason": "max_output_tokens"}), vec![]),
    ] {
        let chat = format!("{before}{}data: [DONE]\n\n", chunk(&json!({}), &json!(reason)));
        let last = replay(&parse(&told([chat.as_bytes()])));
        assert_eq!((&last["status"], &last["incomplete_details"]), (&json!(status), &details));
        let seen: Vec<&Value> =
            last["output"].as_array().unwrap().iter().map(|item| &item["status"]).collect();
        assert_eq!(seen, items, "{chat}");
        assert_eq!(last["completed_at"].is_null(), status != "completed");
    }
}

fn delta() -> impl Strategy<Value = Value> {
    let call =
        (0u32..3, proptest::option::of("[a-z]{1,4}"), proptest::option::of("[a-z{}\"é]{0,6}"))
            .prop_map(|(index, name, arguments)| {
                json!({"tool_calls": [{"index": index, "id": format!("call_{index}"),
                "type": "function", "function": {"name": name, "arguments": arguments}}]})
            });
    let token = json!([{"token": "t", "logprob": -0.5, "bytes": null,
        "top_logprobs": [{"token": "u", "logprob": -1.5, "bytes": [117]}]}]);
    prop_oneof![
        "\\PC{0,6}".prop_map(|text| json!({"content": text})),
        "\\PC{0,6}".prop_map(move |text| json!({"content": text, "logprobs": token})),
        "\\PC{0,6}".prop_map(|text| json!({"refusal": text})),
        "\\PC{0,6}".prop_map(|text| json!({"reasoning_content": text, "reasoning": text})),
        call,
        Just(json!({"role": "assistant", "content": null, "tool_calls": null})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(3), ..Default::default() })]

    #[test]
    fn any_answer_is_told_by_the_grammar_however_it_is_cut(
        deltas in prop::collection::vec(delta(), 0..24),
        finish in prop::sample::select(vec!["stop", "length", "tool_calls", "content_filter"]),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ends in any::<bool>(),
    ) {
        let mut chat = String::new();
        for mut delta in deltas {
            let content = delta.as_object_mut().unwrap().remove("logprobs");
            let logprobs = content.map(|content| json!({"content": content, "refusal": null}));
            let choice = json!({"index": 0, "delta": delta, "logprobs": logprobs,
                "finish_reason": null});
            chat += &format!("data: {}\n\n", json!({"model": "m", "choices": [choice]}));
        }
        chat += &chunk(&json!({}), &json!(finish));
        let usage = json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7});
        chat += &format!("data: {}\n\n", json!({"choices": [], "usage": usage}));
        if ends {
            chat += "data: [DONE]\n\n";
        }
        let text = told([chat.as_bytes()]);
        let last = replay(&parse(&text));
        prop_assert_eq!(last["status"] == "failed", !ends);
        prop_assert_eq!(&last["usage"]["total_tokens"], 7);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(chat.len())).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for to in cuts.into_iter().chain([chat.len()]) {
            pieces.push(&chat.as_bytes()[from..to]);
            from = to;
        }
        prop_assert_eq!(told(pieces), text);
    }

    #[test]
    fn bytes_of_any_kind_end_in_one_failure(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = told([&*bytes]);
        // Comments are the only bytes that pass, and they are no events.
        let from = text.find("event: ").unwrap_or_else(|| panic!("no event: {text}"));
        prop_assert!(text[from..].contains("event: response.failed\n"));
    }
}
