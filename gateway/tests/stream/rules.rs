//! What every client may count on, whatever the provider sends: only `data:` and comment lines, one
//! identity, values that OpenAI's schema lists, usage once and last, and one `[DONE]` on a good end
//! alone.

use gateway::stream::{Plan, UsageMode};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::Value;
use std::collections::HashSet;

use super::support::{DONE, MODEL, Relayed, plan, random_pieces, relay, relay_all_ways};

/// One of these, as it stands.
fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(texts)
}

/// A chunk in any of the shapes that were met.
fn chunk() -> impl Strategy<Value = String> {
    let id = one_of(&[r#""id":"a","#, r#""id":"b","#, r#""id":"","#, r#""id":null,"#, ""]);
    let created = one_of(&[r#""created":7,"#, r#""created":9.5,"#, r#""created":null,"#, ""]);
    let model = one_of(&[r#""model":"theirs","#, r#""model":"qwen3-8b","#, ""]);
    let rest = one_of(&[
        r#""object":"chat.completion.chunk","#,
        r#""service_tier":"standard","#,
        r#""usage":null,"#,
        r#""usage":{"prompt_tokens":1,"completion_tokens":2},"#,
        "",
    ]);
    let delta = one_of(&[
        r#""delta":{"role":"assistant","content":""}"#,
        r#""delta":{"content":"x"}"#,
        r#""delta":{"reasoning":"r","tool_calls":null}"#,
        r#""delta":{"tool_calls":[]}"#,
        r#""delta":{"tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]}"#,
        r#""delta":{"tool_calls":[{"index":0,"id":"d","function":{"name":"g"}}]}"#,
        r#""delta":null"#,
        r#""z":1"#,
    ]);
    let finish = one_of(&[
        "",
        "",
        r#","finish_reason":null"#,
        r#","finish_reason":"""#,
        r#","finish_reason":"eos_token""#,
        r#","finish_reason":"stop""#,
        r#","finish_reason":"tool_use""#,
    ]);
    let index = one_of(&[r#""index":0,"#, r#""index":null,"#, ""]);
    (id, created, model, rest, index, delta, finish).prop_map(
        |(id, created, model, rest, index, delta, finish)| {
            format!(
                "data: {{{id}{created}{model}{rest}\"choices\":[{{{index}{delta}{finish}}}]}}\n\n"
            )
        },
    )
}

/// Everything else that stands in streams.
fn other() -> impl Strategy<Value = String> {
    one_of(&[
        ": comment\n\n",
        ": OPENROUTER PROCESSING\r\n\r\n",
        "id: 7\n",
        "retry: 3000\n\n",
        "event: message\n",
        "event: ping\ndata: {}\n\n",
        "data:\n\n",
        "data: {\"id\":\n\n",
        "data: {\"id\":\"a\",\ndata: \"choices\":[{\"delta\":{\"content\":\"y\"}}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n",
        "data: {\"choices\":[{\"index\":5,\"delta\":{\"content\":\"z\"}}]}\n\n",
        "data: {\"error\":{\"message\":\"out of memory\"}}\n\n",
        "data: [DONE]\n\n",
        "data:[DONE] \r\n\r\n",
    ])
    .prop_map(str::to_owned)
}

fn streams() -> impl Strategy<Value = String> {
    let event = prop_oneof![4 => chunk(), 2 => other()];
    let end = one_of(&["data: [DONE]\n\n", ""]);
    (prop::collection::vec(event, 1..10), end).prop_map(|(events, end)| events.concat() + end)
}

/// The rules; `Err` says which one is broken.
fn holds(relayed: &Relayed, usage: UsageMode) -> Result<(), String> {
    let mut identities = HashSet::new();
    let (mut shown, mut done) = (0, 0);
    for line in relayed.text.lines() {
        let Some(payload) = line.strip_prefix("data:") else {
            if line.is_empty() || line.starts_with(':') {
                continue;
            }
            return Err(format!("the line {line:?}"));
        };
        if done > 0 {
            return Err("something after [DONE]".to_owned());
        }
        if payload.trim_start() == "[DONE]" {
            done += 1;
            continue;
        }
        let chunk: Value = serde_json::from_str(payload).map_err(|error| error.to_string())?;
        identities.insert(format!("{} {} {}", chunk["id"], chunk["created"], chunk["model"]));
        shown += usize::from(chunk["usage"].is_object());
        if shown > 0 && chunk["choices"] != serde_json::json!([]) {
            return Err(format!("a chunk with or after usage: {chunk}"));
        }
        schema(&chunk).map_err(|what| format!("{what} of {chunk}"))?;
    }
    let good = relayed.end.is_ok();
    if identities.len() > 1 || done != usize::from(good) || shown > 1 {
        return Err(format!("{identities:?}, {done} [DONE], {shown} usages, good: {good}"));
    }
    if usage == UsageMode::Strip && shown > 0 { Err("usage was shown".to_owned()) } else { Ok(()) }
}

/// What strict clients read of a chunk.
fn schema(chunk: &Value) -> Result<(), &'static str> {
    let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    if !text(&chunk["id"]) || !chunk["created"].is_i64() || chunk["model"] != MODEL {
        return Err("the identity");
    }
    if chunk["object"] != "chat.completion.chunk" || !chunk["service_tier"].is_null() {
        return Err("the object or the tier");
    }
    for choice in chunk["choices"].as_array().ok_or("the choices")? {
        let delta = choice["delta"].as_object().ok_or("the delta")?;
        if choice["index"] != 0 {
            return Err("the index");
        }
        let reason = &choice["finish_reason"];
        if !(reason.is_null() || reason == "stop" || reason == "tool_calls") {
            return Err("the finish reason");
        }
        if delta.get("reasoning") != delta.get("reasoning_content") {
            return Err("the reasoning");
        }
        if let Some(calls) = delta.get("tool_calls") {
            let calls = calls.as_array().filter(|calls| !calls.is_empty()).ok_or("the calls")?;
            if !calls.iter().all(|call| call["index"].is_u64()) {
                return Err("a call's index");
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, rng_seed: RngSeed::Fixed(32), ..Default::default() })]

    #[test]
    fn hold_for_whatever_comes(input in streams(), shown in any::<bool>(), cut in 0u64..6) {
        let usage = if shown { UsageMode::Pass } else { UsageMode::Strip };
        let relayed = relay(&Plan { usage, ..plan() }, random_pieces(input.as_bytes(), cut));
        if let Err(what) = holds(&relayed, usage) {
            prop_assert!(false, "{what}\nfrom {input}\nto {}", relayed.text);
        }
    }
}

#[test]
fn are_broken_by_a_stream_that_was_not_mended() {
    let relayed = relay_all_ways(&plan(), format!("{}{DONE}", super::support::stop()).as_bytes());
    assert_eq!(holds(&relayed, UsageMode::Strip), Ok(()));
    for (good, bad) in [
        ("data: [DONE]", "event: x"),
        ("\"stop\"", "\"eos\""),
        (MODEL, "theirs"),
        ("data: [DONE]\n\n", ""),
        ("\"role\":\"assistant\"", "\"tool_calls\":[]"),
    ] {
        let text = relayed.text.replace(good, bad);
        assert!(holds(&Relayed { text, ..relayed.clone() }, UsageMode::Strip).is_err(), "{bad}");
    }
}
