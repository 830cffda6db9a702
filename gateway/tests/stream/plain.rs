//! Whole answers that a provider sent as JSON: the quirks mended, and every other byte its own.

use bytes::Bytes;
use gateway::stream::{Answer, Error, plain};
use openapi::usage::Usage;

use super::support::{MODEL, plan};

fn answer(body: &str) -> Result<Answer, Error> {
    plain(Bytes::copy_from_slice(body.as_bytes()), &plan())
}

/// An answer whose one choice is this.
fn whole(choice: &str) -> String {
    format!(
        "{{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":7,\"model\":\"{MODEL}\",\
         \"choices\":[{choice}],\"usage\":{{\"prompt_tokens\":3,\"completion_tokens\":4}}}}"
    )
}

fn message(message: &str, finish: &str) -> String {
    whole(&format!(
        "{{\"index\":0,\"message\":{{\"role\":\"assistant\",{message}}},\"finish_reason\":{finish}}}"
    ))
}

fn check(given: &str, wanted: &str) {
    let body = answer(given).unwrap_or_else(|error| panic!("{given}: {error}")).body;
    assert_eq!(std::str::from_utf8(&body).unwrap(), wanted, "{given}");
}

#[test]
fn the_very_same_bytes_come_back_where_nothing_is_wrong() {
    let body =
        message(r#""content":"hi", "z" : [1.0e400,"\u00e9",123456789012345678901234]"#, "\"stop\"");
    let body = Bytes::from(body);
    let answer = plain(body.clone(), &plan()).unwrap();
    assert_eq!((answer.body.as_ptr(), answer.body.len()), (body.as_ptr(), body.len()));
    assert_eq!(answer.progress.usage, Some(Usage::new(3, 4)));
    assert!(answer.progress.done && answer.progress.finished && answer.progress.content_seen);
    assert_eq!(answer.progress.text_bytes, 2);
}

#[test]
fn what_is_missing_is_filled_in() {
    check(
        r#"{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}"#,
        &format!(
            "{{\"id\":\"chatcmpl-fallback\",\"created\":1700000000,\"model\":\"{MODEL}\",\
             \"object\":\"chat.completion\",\"choices\":[{{\"index\":0,\
             \"message\":{{\"role\":\"assistant\",\"content\":\"x\"}},\"finish_reason\":\"stop\"}}]}}"
        ),
    );
    let bare = whole(r#"{"finish_reason":"length"}"#);
    let wanted =
        r#"{"index":0,"message":{"role":"assistant","content":null},"finish_reason":"length"}"#;
    check(&bare, &whole(wanted));
    let legacy = r#"{"model":"theirs","choices":[{"text":"x","finish_reason":"stop"}]}"#;
    check(
        legacy,
        &format!(
            "{{\"id\":\"chatcmpl-fallback\",\"created\":1700000000,\"object\":\"text_completion\",\
             \"model\":\"{MODEL}\",\"choices\":[{{\"index\":0,\"text\":\"x\",\"finish_reason\":\"stop\"}}]}}"
        ),
    );
}

#[test]
fn identity_and_tier_are_put_right() {
    let good = message(r#""content":"x""#, "\"stop\"");
    check(&good.replace(MODEL, "theirs"), &good);
    check(&good.replace("\"created\":7", "\"created\":null"), &good.replace(":7,", ":1700000000,"));
    let tier =
        |tier: &str| good.replace("\"usage\"", &format!("\"service_tier\":{tier},\"usage\""));
    check(&tier("\"standard\""), &tier("null"));
    check(&tier("\"flex\""), &tier("\"flex\""));
}

#[test]
fn finish_reasons_and_calls_are_openais() {
    let text = r#""content":"x""#;
    check(&message(text, "\"eos_token\""), &message(text, "\"stop\""));
    check(&message(text, "\"MAX_TOKENS\""), &message(text, "\"length\""));
    let call = r#""content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]"#;
    check(&message(call, "\"stop\""), &message(call, "\"tool_calls\""));
    check(&message(call, "\"tool_use\""), &message(call, "\"tool_calls\""));
    for none in ["null", "[]", "[ ]"] {
        let given = message(&format!("{text},\"tool_calls\":{none}"), "\"stop\"");
        check(&given, &message(text, "\"stop\""));
    }
}

#[test]
fn calls_have_an_id_and_a_type() {
    let calls = |calls: &str| {
        message(&format!("\"content\":null,\"tool_calls\":[{calls}]"), "\"tool_calls\"")
    };
    let function = r#""function":{"name":"f","arguments":"{}"}"#;
    let wanted = |id: &str| format!(r#"{{"id":"{id}","type":"function",{function}}}"#);
    for given in [
        format!("{{{function}}}"),
        format!(r#"{{"id":"","type":null,{function}}}"#),
        format!(r#"{{"id":null,"type":"",{function}}}"#),
    ] {
        let good = wanted("a");
        check(
            &calls(&format!("{good},{given}")),
            &calls(&format!("{good},{}", wanted("call_0_1"))),
        );
    }
    check(&calls("{}"), &calls(r#"{"id":"call_0_0","type":"function"}"#));
}

#[test]
fn reasoning_has_both_names() {
    let both = r#""content":"x","reasoning":"why","reasoning_content":"why""#;
    check(&message(r#""content":"x","reasoning":"why""#, "\"stop\""), &message(both, "\"stop\""));
    let null = r#""content":"x","reasoning":"why","reasoning_content":null"#;
    check(&message(null, "\"stop\""), &message(both, "\"stop\""));
}

#[test]
fn what_is_no_answer_is_refused() {
    for (body, error) in [
        ("", "no answer"),
        ("[]", "no answer"),
        ("{}", "no answer"),
        ("{\"choices\":[", "no answer"),
        (r#"{"choices":[]}"#, "ended before"),
        (r#"{"choices":[{"finish_reason":null}]}"#, "ended before"),
        (r#"{"choices":[{}]}"#, "ended before"),
        (r#"{"choices":[{"finish_reason":""}]}"#, "ended before"),
        (r#"{"choices":[{"finish_reason":"stop"},{"finish_reason":"abort"}]}"#, "abort"),
        (r#"{"choices":[{"finish_reason":"stop"}],"error":{"message":"out of memory"}}"#, "memory"),
        (r#"{"error":"out of memory"}"#, "memory"),
        (r#"{"object":"error","message":"out of memory"}"#, "memory"),
    ] {
        let found = answer(body).unwrap_err().to_string();
        assert!(found.contains(error), "{body}: {found}");
    }
    let broken = plain(
        Bytes::from_static(b"{\"choices\":[{\"finish_reason\":\"stop\"}],\"x\":\"\xff\"}"),
        &plan(),
    );
    assert!(broken.is_err());
}
