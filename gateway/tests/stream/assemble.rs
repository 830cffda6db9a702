//! Whole answers from streams, by the same rules as the relay.

use bytes::Bytes;
use gateway::stream::{Answer, Assembler, Error, Plan};
use openapi::chat::{FinishReason, Response};
use serde_json::{Value, json};
use std::path::PathBuf;

use super::support::{DONE, bytewise, event, plan, random_pieces, role, stop, text};

fn assemble(plan: &Plan, pieces: Vec<Bytes>) -> Result<Answer, Error> {
    let mut assembler = Assembler::new(plan.clone());
    for piece in pieces {
        assembler.push(piece)?;
    }
    assembler.finish()
}

/// Assembled whole, byte by byte and in random pieces; all must agree.
fn whole(plan: &Plan, input: &[u8]) -> Answer {
    let answer = assemble(plan, vec![Bytes::copy_from_slice(input)]).unwrap();
    let mut ways: Vec<Vec<Bytes>> = (0..10).map(|seed| random_pieces(input, seed)).collect();
    if input.len() < 20_000 {
        ways.push(bytewise(input));
    }
    for pieces in ways {
        let other = assemble(plan, pieces).unwrap();
        assert_eq!((&other.body, &other.progress), (&answer.body, &answer.progress));
    }
    answer
}

fn fixture(name: &str) -> Value {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let input = std::fs::read(folder.join(name).with_extension("sse")).unwrap();
    let mut plan = plan();
    plan.choices = if name == "two_choices" { 2 } else { 1 };
    let answer = whole(&plan, &input);
    assert!(answer.progress.done);
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn text_and_usage() {
    let answer = fixture("openai_usage");
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["id"], "chatcmpl-7a1");
    assert_eq!(answer["created"], 1_763_800_000);
    assert_eq!(
        answer["choices"],
        json!([{"index": 0, "message": {"role": "assistant", "content": "Hello there!", "refusal": null},
                "logprobs": null, "finish_reason": "stop"}])
    );
    assert_eq!(answer["usage"]["prompt_tokens_details"]["audio_tokens"], 0);
    let typed: Response = serde_json::from_value(answer).unwrap();
    assert_eq!(typed.usage.unwrap().total_tokens, 15);
    assert_eq!(typed.choices[0].finish_reason, Some(FinishReason::Stop));
}

#[test]
fn every_fixture_gives_an_answer() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "sse") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            // Lone surrogates, and numbers no f64 holds: both meet below.
            if name == "unicode_escapes" || name == "huge_numbers" {
                continue;
            }
            let answer = fixture(&name);
            assert!(answer["choices"][0]["finish_reason"].is_string(), "{name}");
        }
    }
}

#[test]
fn halves_of_a_surrogate_pair_meet_again() {
    let input = format!("{}{}{}{}{DONE}", role(), text(r"\ud83d"), text(r"\ude00"), stop());
    let answer: Value = serde_json::from_slice(&whole(&plan(), input.as_bytes()).body).unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "😀");
}

#[test]
fn calls_of_tools() {
    let message = &fixture("tool_call")["choices"][0]["message"];
    assert_eq!(
        *message,
        json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": [
            {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Bern\"}"}}]})
    );
    let answer = fixture("parallel_tool_calls");
    let calls = answer["choices"][0]["message"]["tool_calls"].as_array().unwrap();
    assert_eq!(
        calls.iter().map(|call| &call["function"]["arguments"]).collect::<Vec<_>>(),
        ["{}", "{}"]
    );
    let call = &fixture("function_call")["choices"][0]["message"]["function_call"];
    assert_eq!(*call, json!({"name": "f", "arguments": "{\"a\":1}"}));
}

#[test]
fn calls_without_ids_or_types_get_them() {
    let call = event(
        r#""delta":{"tool_calls":[{"function":{"name":"f","arguments":"{}"},"extra_content":{"sig":1e400}}]}"#,
    );
    let input = format!("{}{call}{}{DONE}", role(), stop());
    let body = String::from_utf8(whole(&plan(), input.as_bytes()).body.to_vec()).unwrap();
    assert!(body.contains(r#""tool_calls":[{"id":"call_0_0","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"sig":1e400}}]"#), "{body}");
    assert!(body.contains(r#""finish_reason":"tool_calls""#));
}

#[test]
fn reasoning_is_served_under_both_names() {
    for name in ["reasoning", "reasoning_content"] {
        let message = &fixture(name)["choices"][0]["message"];
        assert_eq!(message["reasoning"], "Let me think.", "{name}");
        assert_eq!(message["reasoning_content"], "Let me think.", "{name}");
        assert_eq!(message["content"], "Four.", "{name}");
    }
}

#[test]
fn choices_refusals_logprobs_and_legacy() {
    let two = fixture("two_choices");
    let text = |index: usize| &two["choices"][index]["message"]["content"];
    assert_eq!((text(0), text(1)), (&json!("A"), &json!("B")));
    assert_eq!(two["choices"][1]["finish_reason"], "length");

    let refusal = &fixture("refusal")["choices"][0]["message"];
    assert_eq!((&refusal["refusal"], &refusal["content"]), (&json!("I can't help."), &Value::Null));

    let logprobs = &fixture("logprobs")["choices"][0]["logprobs"];
    assert_eq!(logprobs["content"].as_array().unwrap().len(), 2);
    assert_eq!(logprobs["content"][1]["token"], "!");
    assert_eq!(logprobs["refusal"], Value::Null);

    let legacy = fixture("legacy_completion");
    assert_eq!(legacy["object"], "text_completion");
    assert_eq!(
        legacy["choices"],
        json!([{"index": 0, "text": "Once upon", "logprobs": null, "finish_reason": "length"}])
    );
}

#[test]
fn unknown_members_are_kept_in_order_with_their_number_text() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let read = |name: &str| {
        let input = std::fs::read(folder.join(name)).unwrap();
        String::from_utf8(whole(&plan(), &input).body.to_vec()).unwrap()
    };
    let body = read("unknown_members.sse");
    assert!(body.ends_with(r#","x_first":[1,{"a":null}],"provider":"DeepInfra","service_tier":"default","system_fingerprint":"fp_1","z_last":{"k":[true,false]}}"#), "{body}");
    assert!(body.contains(r#""finish_reason":"stop","native_finish_reason":null,"matched_stop":null,"stop_reason":151645}"#), "{body}");
    assert!(body.contains(r#""annotations":[],"x":{"y":"z"}}"#), "{body}");
    let body = read("huge_numbers.sse");
    assert!(
        body.contains(
            r#""x":123456789012345678901234567890,"y":1e400,"z":-0.30000000000000004e-7,"#
        ),
        "{body}"
    );
    assert!(
        body.contains(r#""token_ids":[18446744073709551615,-9223372036854775808,1E+2,0.0]"#),
        "{body}"
    );
}

#[test]
fn what_is_cut_is_no_answer() {
    for input in [String::new(), role(), format!("{}{}{DONE}", role(), text("a"))] {
        let result = assemble(&plan(), vec![Bytes::from(input)]);
        assert!(matches!(result, Err(Error::Truncated)));
    }
    let failed = assemble(&plan(), vec![Bytes::from("data: {\"error\":{\"message\":\"m\"}}\n\n")]);
    assert!(matches!(failed, Err(Error::ErrorEvent(_))));
    let answer = assemble(&plan(), vec![Bytes::from(format!("{}{}", role(), stop()))]).unwrap();
    assert!(answer.progress.done && answer.progress.finished);
}

#[test]
fn an_answer_is_bounded_and_holds_text_only() {
    let mut small = plan();
    small.limits.answer_bytes_max = 100;
    let input = format!("{}{}", role(), text(&"x".repeat(30)).repeat(4));
    let result = assemble(&small, vec![Bytes::from(input)]);
    assert!(matches!(result, Err(Error::AnswerTooLarge { limit_bytes: 100 })));
    let parts = event(r#""delta":{"content":[{"type":"text","text":"x"}]}"#);
    let result = assemble(&plan(), vec![Bytes::from(parts)]);
    assert!(matches!(result, Err(Error::NotText { member: "content" })));
}

#[test]
fn everything_that_is_kept_counts_towards_the_limit() {
    let long = "x".repeat(9_000);
    let call = |index: usize, member: &str| {
        let entry = format!("{{\"index\":{index},{member}}}");
        event(&format!("\"delta\":{{\"tool_calls\":[{entry}]}},\"finish_reason\":null"))
    };
    let kinds: [&dyn Fn(usize) -> String; 5] = [
        &|index| call(index, &format!("\"id\":\"{long}\"")),
        &|index| call(index, &format!("\"type\":\"{long}\"")),
        &|index| call(index, &format!("\"function\":{{\"name\":\"{long}\"}}")),
        &|index| call(index, &format!("\"{long}\":0")),
        &|index| text(&format!("{index}{}", "\\u0041".repeat(1_500))),
    ];
    let mut plan = plan();
    plan.limits.answer_bytes_max = 20_000;
    for (number, kind) in kinds.iter().enumerate() {
        let input: String = (0..3).map(kind).collect();
        let result = assemble(&plan, vec![Bytes::from(role() + &input + &stop() + DONE)]);
        assert!(matches!(result, Err(Error::AnswerTooLarge { .. })), "{number}: {result:?}");
        let input: String = (0..2).map(kind).collect();
        let result = assemble(&plan, vec![Bytes::from(role() + &input + &stop() + DONE)]);
        assert!(result.is_ok(), "{number}: {result:?}");
    }
}
