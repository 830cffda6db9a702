//! Providers' quirks, each mended by rewriting just the bytes at fault.

use gateway::stream::{Identity, Plan, UsageMode};
use std::sync::Arc;

use super::support::{DONE, MODEL, event, plan, relay_all_ways, role, stop, text};

/// The output for a stream, which must complete.
fn mended(plan: &Plan, input: &str) -> String {
    let relayed = relay_all_ways(plan, input.as_bytes());
    assert_eq!(relayed.end, Ok(false), "{input}");
    relayed.text
}

/// `given` stands between a role chunk and the end, and comes out as `wanted`.
fn check(given: &str, wanted: &str) {
    let around = |middle: &str| format!("{}{middle}{}{DONE}", role(), stop());
    assert_eq!(mended(&plan(), &around(given)), around(wanted), "{given}");
}

#[test]
fn model_is_spliced_where_it_differs_and_nothing_else() {
    let mut plan = plan();
    plan.model = Arc::from("alias/\"q\"");
    let input = format!("{}{}{}{DONE}", role(), text("a  b"), stop());
    let model = format!("\"model\":\"{MODEL}\"");
    assert_eq!(mended(&plan, &input), input.replace(&model, "\"model\":\"alias/\\\"q\\\"\""));
}

#[test]
fn a_doubled_model_is_spliced_both_times() {
    let mut plan = plan();
    plan.model = Arc::from("m");
    let given = r#"data: {"model":"a","id":"i","object":"x","created":1,"mod\u0065l":"b","choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":"stop"}],"model":null}"#;
    let wanted = given.replace("\"a\"", "\"m\"").replace("\"b\"", "\"m\"").replace("null", "\"m\"");
    assert_eq!(mended(&plan, &format!("{given}\n\n{DONE}")), format!("{wanted}\n\n{DONE}"));
}

#[test]
fn an_identity_already_sent_is_kept_up() {
    let mut plan = plan();
    plan.identity = Some(Identity { id: Arc::from("chatcmpl-first"), created: 3 });
    let input = format!("{}{}{DONE}", text("on"), stop());
    let wanted =
        input.replace("chatcmpl-1", "chatcmpl-first").replace("\"created\":7", "\"created\":3");
    assert_eq!(mended(&plan, &input), wanted);
}

#[test]
fn an_identity_that_changes_on_the_way_is_held() {
    let changed =
        text("x").replace("chatcmpl-1", "other").replace("\"created\":7", "\"created\":9");
    check(&changed, &text("x"));
}

#[test]
fn what_is_missing_is_filled_in() {
    let input = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n\
                 data: {\"id\":\"\",\"created\":0,\"model\":null,\"object\":\"\",\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"}]}\n\n\
                 data: [DONE]\n\n";
    let head = format!(
        "\"id\":\"chatcmpl-fallback\",\"created\":1700000000,\"model\":\"{MODEL}\",\"object\":\"chat.completion.chunk\""
    );
    let wanted = format!(
        "data: {{{head},\"choices\":[{{\"index\":0,\"delta\":{{\"role\":\"assistant\",\"content\":\"x\"}}}}]}}\n\n\
         data: {{{},\"choices\":[{{\"delta\":{{}},\"index\":0,\"finish_reason\":\"stop\"}}]}}\n\n{DONE}",
        head.replace("\"object\":\"chat.completion.chunk\"", "").trim_end_matches(',').to_owned()
            + ",\"object\":\"chat.completion.chunk\"",
    );
    assert_eq!(mended(&plan(), input), wanted);
}

#[test]
fn a_continued_answer_gets_no_second_role() {
    let mut plan = plan();
    plan.identity = Some(Identity { id: Arc::from("chatcmpl-1"), created: 7 });
    let input = format!("{}{}{DONE}", text("on"), stop());
    assert_eq!(mended(&plan, &input), input);
}

#[test]
fn finish_reasons_are_openais() {
    let with = |reason: &str| event(&format!("\"delta\":{{}},\"finish_reason\":{reason}"));
    for (given, wanted) in [
        ("\"\"", "null"),
        ("false", "null"),
        ("\"eos_token\"", "\"stop\""),
        ("\"end_turn\"", "\"stop\""),
        ("\"max_tokens\"", "\"length\""),
        ("\"t\\u006fol_use\"", "\"tool_calls\""),
        ("\"SAFETY\"", "\"content_filter\""),
    ] {
        check(&with(given), &with(wanted));
    }
}

#[test]
fn stop_after_tool_calls_means_tool_calls() {
    let call = event(
        "\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":null",
    );
    let input = format!("{}{call}{}{DONE}", role(), stop());
    assert_eq!(mended(&plan(), &input), input.replace("\"stop\"", "\"tool_calls\""));
    let old = event("\"delta\":{\"function_call\":{\"name\":\"f\"}},\"finish_reason\":\"stop\"");
    let input = format!("{}{old}{DONE}", role());
    assert_eq!(mended(&plan(), &input), input);
}

#[test]
fn fragments_of_calls_get_their_index() {
    let call = |entries: &str| event(&format!("\"delta\":{{\"tool_calls\":[{entries}]}}"));
    let given = [
        call(
            r#"{"id":"a","function":{"name":"f","arguments":""}},{"id":"b","function":{"name":"g"}}"#,
        ),
        call(r#"{"index":null,"function":{"arguments":"1"}}"#),
        call(r#"{"id":"a","function":{"arguments":"2"}}"#),
    ];
    let wanted = [
        call(
            r#"{"index":0,"id":"a","function":{"name":"f","arguments":""}},{"index":1,"id":"b","function":{"name":"g"}}"#,
        ),
        call(r#"{"index":1,"function":{"arguments":"1"}}"#),
        call(r#"{"index":1,"id":"a","function":{"arguments":"2"}}"#),
    ];
    let end = stop().replace("stop", "tool_calls");
    let around = |middle: &[String]| format!("{}{}{end}{DONE}", role(), middle.concat());
    assert_eq!(mended(&plan(), &around(&given)), around(&wanted));
}

#[test]
fn parallel_calls_that_all_say_index_0_are_told_apart() {
    let entry = |index: u32, id: &str, name: &str| {
        event(&format!(
            r#""delta":{{"tool_calls":[{{"index":{index},"id":"{id}","function":{{"name":"{name}","arguments":"{{}}"}}}}]}}"#
        ))
    };
    let end = stop().replace("stop", "tool_calls");
    let given = format!("{}{}{}{end}{DONE}", role(), entry(0, "a", "f"), entry(0, "b", "g"));
    let wanted = format!("{}{}{}{end}{DONE}", role(), entry(0, "a", "f"), entry(1, "b", "g"));
    assert_eq!(mended(&plan(), &given), wanted);
}

#[test]
fn only_data_and_comments_reach_the_client() {
    check(
        &format!("id: 7\nretry: 10\nevent: message\nfoo\n: c\n{}", text("x")),
        &format!(": c\n{}", text("x")),
    );
    check(&format!("retry: 3000\n\nid\n\nevent: ping\n\n{}", text("x")), &text("x"));
    check(&format!("event: ping\r\ndata:\r\n\r\n{}", text("x")), &text("x"));
    check(&format!("data: {{\"type\":\"ping\"}}\n\n{}", text("x")), &text("x"));
}

#[test]
fn an_event_in_several_data_lines_is_mended_on_one() {
    let mut plan = plan();
    plan.model = Arc::from("m");
    let input = "id: 1\ndata: {\"id\":\"i\",\"object\":\"o\",\"created\":1,\n: c\ndata:\"model\":\n\
                 data: \"x\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"},\"finish_reason\":\"stop\"}]}\n\n";
    let wanted = "data: {\"id\":\"i\",\"object\":\"o\",\"created\":1, \"model\": \"m\",\"choices\":[{\"index\":0,\
                  \"delta\":{\"role\":\"assistant\"},\"finish_reason\":\"stop\"}]}\n: c\n\n";
    assert_eq!(mended(&plan, &format!("{input}{DONE}")), format!("{wanted}{DONE}"));
}

#[test]
fn a_first_line_without_a_colon_gets_one_with_its_value() {
    let (_, json) = text("x").split_once("data: ").map(|(a, b)| (a, b.to_owned())).unwrap();
    let given = format!("data\ndata: {}", json.replace("chatcmpl-1", "other"));
    check(&given, &text("x"));
    let ended = format!("{}{}data\n{DONE}", role(), stop());
    assert_eq!(mended(&plan(), &ended), format!("{}{}{DONE}", role(), stop()));
}

#[test]
fn a_byte_order_mark_is_taken_off() {
    let input = format!("{}{}{DONE}", role(), stop());
    assert_eq!(mended(&plan(), &format!("\u{feff}{input}")), input);
    assert_eq!(mended(&plan(), &format!("\u{feff}\n{input}")), input);
}

#[test]
fn malformed_events_are_dropped_and_counted() {
    let bad =
        "data: {\"id\":\ndata: 1\n\ndata: <html>\n\ndata: [1]\n\n: c\ndata: {\"choices\":[}\n\n";
    let input = format!("{}{bad}{}{}{DONE}", role(), text("x"), stop());
    let relayed = relay_all_ways(&plan(), input.as_bytes());
    assert_eq!(relayed.text, format!("{}{}{}{DONE}", role(), text("x"), stop()));
    assert_eq!(relayed.progress.malformed, 4);

    let input = format!("{}{}", role(), "data: x\n\n".repeat(17));
    let relayed = relay_all_ways(&plan(), input.as_bytes());
    assert_eq!(
        relayed.end,
        Err("the provider sent more than 16 events that could not be read".into())
    );
    assert_eq!(relayed.text, role());
}

#[test]
fn what_is_not_utf_8_is_dropped() {
    let mut input = role().into_bytes();
    input.extend_from_slice(b": \xff\n\ndata: \"\xc3\"\n\n");
    input.extend_from_slice(format!("{}{DONE}", stop()).as_bytes());
    let relayed = relay_all_ways(&plan(), &input);
    assert_eq!(relayed.text, format!("{}{}{DONE}", role(), stop()));
    assert_eq!(relayed.progress.malformed, 2);
}

#[test]
fn a_choice_nobody_asked_for_is_dropped() {
    let other = text("y").replace("\"index\":0", "\"index\":1");
    check(&other, "");
    let huge = text("y").replace("\"index\":0", "\"index\":4294967295");
    check(&huge, "");
}

#[test]
fn an_event_of_countless_small_things_is_dropped() {
    for crowd in [
        format!("data: {{\"choices\":[{}{{}}]}}\n\n", "{},".repeat(200)),
        format!("data: {{{}\"choices\":[]}}\n\n", "\"id\":1,".repeat(200)),
        event(&format!("\"delta\":{{\"tool_calls\":[{}{{}}]}}", "{},".repeat(200))),
    ] {
        check(&crowd, "");
    }
}

#[test]
fn an_event_that_is_dropped_settles_nothing_for_those_after_it() {
    let foreign = |rest: &str| {
        format!(
            "data: {{\"id\":\"other\",\"object\":\"chat.completion.chunk\",\"created\":9,\
             \"model\":\"theirs\",\"choices\":{rest}}}\n\n"
        )
    };
    let delta = "[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":null}]";
    let unasked = delta.replace("\"index\":0", "\"index\":5");
    for dropped in [foreign(&unasked), foreign("[],\"usage\":{\"prompt_tokens\":1}")] {
        let input = format!("{}{dropped}{}{}{DONE}", role(), foreign(delta), stop());
        let out = mended(&Plan { usage: UsageMode::Strip, ..plan() }, &input);
        assert!(!out.contains("theirs") && !out.contains("other"), "{out}");
    }
}

#[test]
fn an_index_that_is_no_number_is_put_right_and_not_doubled() {
    for index in ["null", "\"0\"", "0.0"] {
        let given = text("x").replace("\"index\":0", &format!("\"index\":{index}"));
        check(&given, &text("x"));
    }
}

#[test]
fn reasoning_has_both_names_with_the_same_text() {
    for (given, wanted) in [
        (
            r#""reasoning":"a\u00e9\n""#,
            r#""reasoning":"a\u00e9\n","reasoning_content":"a\u00e9\n""#,
        ),
        (r#""reasoning_content":"x","z":1"#, r#""reasoning_content":"x","reasoning":"x","z":1"#),
        (
            r#""reasoning_content":null,"reasoning":"x""#,
            r#""reasoning_content":"x","reasoning":"x""#,
        ),
        (r#""reasoning_content":"x","reasoning":"""#, r#""reasoning_content":"x","reasoning":"x""#),
        // Both there, or neither of them text: not ours to judge.
        (
            r#""reasoning_content":"x","reasoning":"y""#,
            r#""reasoning_content":"x","reasoning":"y""#,
        ),
        (
            r#""reasoning_content":"x","reasoning":{"e":1}"#,
            r#""reasoning_content":"x","reasoning":{"e":1}"#,
        ),
        (r#""reasoning":"","content":"c""#, r#""reasoning":"","content":"c""#),
        (r#""reasoning":null"#, r#""reasoning":null"#),
    ] {
        let with = |delta: &str| event(&format!("\"delta\":{{{delta}}},\"finish_reason\":null"));
        check(&with(given), &with(wanted));
    }
}

#[test]
fn a_list_of_no_calls_is_taken_out() {
    let with = |delta: &str| event(&format!("\"delta\":{{{delta}}},\"finish_reason\":null"));
    for (given, wanted) in [
        (r#""content":"x","tool_calls":[]"#, r#""content":"x""#),
        (r#""tool_calls":null,"content":"x""#, r#""content":"x""#),
        (r#""content":"x", "tool_calls": [ ] ,"z":1"#, r#""content":"x" ,"z":1"#),
        (r#""reasoning":"r","tool_calls":null"#, r#""reasoning":"r","reasoning_content":"r""#),
        (r#""tool_calls":null"#, ""),
    ] {
        check(&with(given), &with(wanted));
    }
    // It is no call either: `stop` stays `stop`. And the role of a first delta takes its place.
    let first = with(r#""tool_calls":[]"#);
    let input = format!("{first}{}{DONE}", stop());
    let wanted = format!("{}{}{DONE}", with(r#""role":"assistant""#), stop());
    assert_eq!(mended(&plan(), &input), wanted);
}

#[test]
fn an_empty_choice_gets_all_it_lacks() {
    let given = stop().replace(r#"{"index":0,"delta":{},"finish_reason":"stop"}"#, "{}");
    let wanted = given.replace("[{}]", r#"[{"index":0,"delta":{}}]"#);
    check(&given, &wanted);
}

#[test]
fn a_service_tier_that_openai_does_not_list_is_null() {
    for (given, wanted) in [
        (r#""default""#, r#""default""#),
        (r#""priority""#, r#""priority""#),
        ("null", "null"),
        (r#""standard""#, "null"),
        (r#""on_demand""#, "null"),
        ("1", "null"),
    ] {
        for place in [r#""choices":"#, r#""model":"#] {
            let with = |tier: &str| {
                text("x").replace(place, &format!(r#""service_tier":{tier},{place}"#)).repeat(2)
            };
            check(&with(given), &with(wanted));
        }
    }
}

#[test]
fn a_name_without_end_is_not_put_into_every_event() {
    // Ten bytes a chunk from the provider would be a hundred thousand to the client.
    let long = "x".repeat(100_000);
    let first = text("a").replace("chatcmpl-1", &long);
    let rest = "data: {\"choices\":[{}]}\n\n".repeat(100);
    let input = format!("{first}{rest}{}{DONE}", stop());
    let out = mended(&plan(), &input);
    assert!(out.len() < 2 * input.len(), "{} bytes of {}", out.len(), input.len());
    assert_eq!(out.matches("\"id\":\"chatcmpl-fallback\"").count(), 102);
}
