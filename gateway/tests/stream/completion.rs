//! A stream is complete on evidence, never on end of file; failures are told apart from ends.

use bytes::Bytes;
use gateway::stream::{Error, Out, Relay, error_event};
use openapi::error::ErrorBody;

use super::support::{DONE, event, plan, relay_all_ways, role, stop, text};

const TRUNCATED: &str = "the provider's stream ended before the answer was complete";

#[test]
fn every_cut_before_the_finish_reason_is_a_truncation() {
    let input = format!("{}{}{}{DONE}", role(), text("a"), stop());
    let evidence = input.find("\"stop\"").unwrap() + "\"stop\"}]}".len();
    for cut in 0..input.len() {
        let relayed = super::support::relay(&plan(), vec![Bytes::from(input[..cut].to_owned())]);
        if cut < evidence {
            assert_eq!(relayed.end, Err(TRUNCATED.to_owned()), "cut at {cut}");
            assert!(input.starts_with(&relayed.text), "{}", relayed.text);
            assert!(!relayed.text.contains("[DONE]"));
        } else {
            assert!(relayed.end.is_ok(), "cut at {cut}");
            assert_eq!(relayed.text, input, "cut at {cut}");
        }
    }
}

#[test]
fn nothing_follows_done_not_even_a_late_line_feed() {
    // Between a CR that ends `[DONE]` and a line feed there is something: they are no CRLF.
    let ends = format!("{}{}data: [DONE]\r\r", role(), stop());
    for after in ["x\n", "data: {}\n\n\n", "\r\n\n"] {
        let relayed = relay_all_ways(&plan(), format!("{ends}{after}").as_bytes());
        assert_eq!((relayed.end, relayed.text), (Ok(false), ends.clone()), "{after:?}");
    }
}

#[test]
fn a_missing_done_is_added_after_every_finish_reason() {
    let input = format!("{}{}", role(), stop());
    let relayed = relay_all_ways(&plan(), input.as_bytes());
    assert_eq!((relayed.end, relayed.text), (Ok(true), format!("{input}{DONE}")));
    assert!(relayed.progress.done);

    let mut two = plan();
    two.choices = 2;
    let relayed = relay_all_ways(&two, input.as_bytes());
    assert_eq!((relayed.end, relayed.text), (Err(TRUNCATED.into()), input.clone()));
    // A provider that knows only one choice says itself that it is through.
    let relayed = relay_all_ways(&two, format!("{input}{DONE}").as_bytes());
    assert_eq!(relayed.end, Ok(false));
    assert!(!relayed.progress.finished);
}

#[test]
fn done_alone_is_no_evidence() {
    for input in [DONE.to_owned(), format!("{}{}{DONE}", role(), text("a"))] {
        let relayed = relay_all_ways(&plan(), input.as_bytes());
        assert_eq!(relayed.end, Err(TRUNCATED.into()));
        assert!(!relayed.text.contains("[DONE]"));
    }
}

#[test]
fn done_is_exact_once_and_last() {
    let head = format!("{}{}", role(), stop());
    for (given, wanted) in [
        (format!("{DONE}{DONE}{}: late\n\n", text("late")), DONE),
        ("data: [DONE]  \n\n".to_owned(), DONE),
        ("id: 9\ndata:  [DONE]\n\n".to_owned(), DONE),
        ("data: [DONE]".to_owned(), DONE),
        ("data: [DONE]\n".to_owned(), DONE),
        ("data:[DONE]\r\n\r\nrest".to_owned(), "data:[DONE]\r\n\r\n"),
        ("data: \ndata: [DONE]\n\n".to_owned(), DONE),
    ] {
        let relayed = relay_all_ways(&plan(), format!("{head}{given}").as_bytes());
        assert_eq!(relayed.text, format!("{head}{wanted}"), "{given:?}");
        assert_eq!(relayed.end, Ok(false));
    }
}

#[test]
fn content_is_seen_at_the_first_thing_generated() {
    let seen = |event: &str| {
        let (mut relay, mut out) = (Relay::new(plan()), Out::default());
        relay.push(Bytes::from(event.to_owned()), &mut out).unwrap();
        relay.progress().content_seen
    };
    assert!(!seen(&role()));
    assert!(!seen(": ping\n\n"));
    for nothing in [
        "{}",
        r#"{"content":null}"#,
        r#"{"tool_calls":[]}"#,
        r#"{"tool_calls":null}"#,
        r#"{"reasoning":""}"#,
    ] {
        assert!(!seen(&event(&format!("\"delta\":{nothing}"))), "{nothing}");
    }
    for something in [
        r#"{"content":"x"}"#,
        r#"{"reasoning":"x"}"#,
        r#"{"reasoning_content":"x"}"#,
        r#"{"refusal":"x"}"#,
        r#"{"tool_calls":[{"index":0}]}"#,
        r#"{"function_call":{"name":"f"}}"#,
        r#"{"content":[{"type":"text","text":"x"}]}"#,
    ] {
        assert!(seen(&event(&format!("\"delta\":{something}"))), "{something}");
    }
    assert!(seen(&stop()));
}

fn failure(event: &str) -> gateway::stream::ProviderError {
    let (mut relay, mut out) = (Relay::new(plan()), Out::default());
    let input = format!("{}{event}{}", text("before"), text("after"));
    let error = relay.push(Bytes::from(input), &mut out).unwrap_err();
    // The role was missing and is filled in; nothing after the failure passes.
    assert_eq!(
        out.pop().unwrap(),
        text("before").replace("{\"content\"", "{\"role\":\"assistant\",\"content\"")
    );
    assert!(out.is_empty());
    assert!(matches!(relay.push(Bytes::new(), &mut out), Err(Error::Failed)));
    assert!(matches!(relay.finish(&mut out), Err(Error::Failed)));
    let Error::ErrorEvent(error) = error else { panic!("{error}") };
    *error
}

#[test]
fn a_providers_error_is_told_in_its_words() {
    let full = failure(
        "data: {\"error\":{\"message\":\"no room\",\"type\":\"server_error\",\"param\":\"messages\",\"code\":503}}\n\n",
    );
    assert_eq!(full.message, "no room");
    assert_eq!((full.status, full.kind.as_deref()), (Some(503), Some("server_error")));
    assert_eq!((full.param.as_deref(), full.code.as_deref()), (Some("messages"), Some("503")));
    assert!(full.raw.starts_with(b"{\"message\":\"no room\""));

    assert_eq!(failure("data: {\"error\":\"boom\"}\n\n").message, "boom");
    assert_eq!(failure("event: error\ndata: {\"message\":\"m\"}\n\n").message, "m");
    assert_eq!(failure("event: error\ndata: plain words\n\n").status, None);
    let vllm = failure("data: {\"object\":\"error\",\"message\":\"m\",\"code\":400}\n\n");
    assert_eq!((vllm.message.as_str(), vllm.status), ("m", Some(400)));
    let both = text("x").replace("\"id\"", "\"error\":{\"code\":99,\"message\":\"m\"},\"id\"");
    assert_eq!((failure(&both).status, failure(&both).code.as_deref()), (None, Some("99")));
    let aborted = failure(&event("\"delta\":{},\"finish_reason\":\"abort\""));
    assert!(aborted.raw.is_empty() && aborted.message.contains("abort"));
}

#[test]
fn error_null_is_no_error() {
    let input = format!("{}{}{DONE}", role().replace("\"id\"", "\"error\":null,\"id\""), stop());
    assert_eq!(relay_all_ways(&plan(), input.as_bytes()).text, input);
}

#[test]
fn an_event_beyond_the_limit_ends_the_attempt() {
    let mut plan = plan();
    let long = text(&"x".repeat(500));
    plan.limits.event_bytes_max = long.len() - 1;
    let input = format!("{}{long}{}{DONE}", role(), stop());
    assert_eq!(relay_all_ways(&plan, input.as_bytes()).end, Ok(false));
    plan.limits.event_bytes_max = long.len() - 2;
    let relayed = relay_all_ways(&plan, input.as_bytes());
    assert_eq!(relayed.text, role());
    assert!(relayed.end.unwrap_err().contains("longer than"));
    // Never ended, never beyond the limit in memory.
    let relayed = relay_all_ways(&plan, "data: ".repeat(1000).as_bytes());
    assert!(relayed.end.unwrap_err().contains("longer than"));
    // Nor by lines.
    let lines = format!("{}\n", ":\n".repeat(5000));
    assert!(relay_all_ways(&plan, lines.as_bytes()).end.is_err());
}

#[test]
fn an_error_event_prints_as_clients_read_it() {
    let body = ErrorBody::new("server_error", "cut\n\"here\"", None, Some("provider_error"));
    let event = String::from_utf8(error_event::print(&body).to_vec()).unwrap();
    assert_eq!(
        event,
        "data: {\"error\":{\"message\":\"cut\\n\\\"here\\\"\",\"type\":\"server_error\",\"param\":null,\"code\":\"provider_error\"}}\n\n"
    );
}
