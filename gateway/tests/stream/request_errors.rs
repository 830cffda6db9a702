//! Bad requests: each names what is wrong with it, and nothing panics.

use bytes::Bytes;
use gateway::request::{Endpoint, Error, Probe};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const MESSAGES: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

fn refused(body: impl AsRef<[u8]>) -> Error {
    let body = Bytes::copy_from_slice(body.as_ref());
    Probe::parse(&body, Endpoint::ChatCompletions).unwrap_err()
}

#[test]
fn syntax_names_line_and_column() {
    for (body, words) in [
        ("{\n  \"model\": \"m\",\n  oops\n}", "line 3 column 3"),
        ("{\"model\":NaN}", "line 1 column"),
        ("{\"model\":Infinity}", "line 1 column"),
        ("{\"model\":\"m\"} x", "trailing characters at line 1 column 15"),
        ("{\"model\":\"m\"}{}", "trailing characters"),
        ("{\"model\":\"m\"", "EOF while parsing an object at line 1 column 12"),
        ("{\"model\":\"a\u{1}\"}", "control character"),
        ("{\"model\":01}", "line 1 column"),
        ("{\"a\":\"\\x\"}", "invalid escape"),
        ("", "empty"),
        (" \n", "empty"),
        ("[]", "must be a JSON object"),
        ("null", "must be a JSON object"),
        ("\u{feff}{}", "byte order mark"),
    ] {
        let error = refused(body);
        assert!(error.message.contains(words), "{body:?}: {}", error.message);
        assert_eq!(error.param, None, "{body:?}");
    }
    let error = refused(b"{\"model\":\n\"\xff\"}");
    assert!(error.message.contains("not valid UTF-8 (line 2, column 2)"), "{}", error.message);
}

#[test]
fn nesting_is_bounded() {
    let deep = |levels: usize| {
        format!(r#"{{"model":"m",{MESSAGES},"x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels))
    };
    assert!(refused(deep(128)).message.contains("nested deeper than 128"));
    assert!(Probe::parse(&Bytes::from(deep(127)), Endpoint::ChatCompletions).is_ok());
    assert!(refused("[".repeat(200_000)).message.contains("nested deeper than 128"));
}

#[test]
fn the_member_at_fault_is_named() {
    for (members, param) in [
        (MESSAGES.to_owned(), "model"),
        (r#""model":"m""#.to_owned(), "messages"),
        (format!(r#""model":1,{MESSAGES}"#), "model"),
        (format!(r#""model":null,{MESSAGES}"#), "model"),
        (format!(r#""model":"",{MESSAGES}"#), "model"),
        (format!(r#""model":"a\r\nb",{MESSAGES}"#), "model"),
        (format!(r#""model":"\ud800",{MESSAGES}"#), "model"),
        (format!(r#""model":"{}",{MESSAGES}"#, "x".repeat(513)), "model"),
        (format!(r#""model":"m","model":"other",{MESSAGES}"#), "model"),
        (format!(r#""model":"m","mod\u0065l":"other",{MESSAGES}"#), "model"),
        (format!(r#""model":"m",{MESSAGES},{MESSAGES}"#), "messages"),
        (r#""model":"m","messages":[]"#.to_owned(), "messages"),
        (r#""model":"m","messages":"hi""#.to_owned(), "messages"),
        (r#""model":"m","messages":null"#.to_owned(), "messages"),
        (r#""model":"m","messages":["hi"]"#.to_owned(), "messages[0]"),
        (r#""model":"m","messages":[{"role":"user"},{}]"#.to_owned(), "messages[1].role"),
        (r#""model":"m","messages":[{"role":1}]"#.to_owned(), "messages[0].role"),
        (r#""model":"m","messages":[{"role":"a","role":"b"}]"#.to_owned(), "messages[0].role"),
        (format!(r#""model":"m",{MESSAGES},"stream":"true""#), "stream"),
        (format!(r#""model":"m",{MESSAGES},"stream":1"#), "stream"),
        (format!(r#""model":"m",{MESSAGES},"stream_options":[]"#), "stream_options"),
        (
            format!(r#""model":"m",{MESSAGES},"stream_options":{{"include_usage":1}}"#),
            "stream_options.include_usage",
        ),
        (
            format!(
                r#""model":"m",{MESSAGES},"stream_options":{{"include_usage":true,"include_usage":false}}"#
            ),
            "stream_options.include_usage",
        ),
        (format!(r#""model":"m",{MESSAGES},"max_tokens":-1"#), "max_tokens"),
        (format!(r#""model":"m",{MESSAGES},"max_tokens":1.5"#), "max_tokens"),
        (format!(r#""model":"m",{MESSAGES},"max_tokens":1e400"#), "max_tokens"),
        (format!(r#""model":"m",{MESSAGES},"max_tokens":"9""#), "max_tokens"),
        (format!(r#""model":"m",{MESSAGES},"max_completion_tokens":-1"#), "max_completion_tokens"),
        (format!(r#""model":"m",{MESSAGES},"n":0"#), "n"),
        (format!(r#""model":"m",{MESSAGES},"n":129"#), "n"),
        (format!(r#""model":"m",{MESSAGES},"n":{}"#, "9".repeat(400)), "n"),
        (format!(r#""model":"m",{MESSAGES},"seed":9223372036854775808"#), "seed"),
        (format!(r#""model":"m",{MESSAGES},"seed":true"#), "seed"),
        (format!(r#""model":"m",{MESSAGES},"temperature":"warm""#), "temperature"),
        (format!(r#""model":"m",{MESSAGES},"temperature":1e400"#), "temperature"),
        (format!(r#""model":"m",{MESSAGES},"user":7"#), "user"),
        (format!(r#""model":"m",{MESSAGES},"provider":{{}},"provider":{{}}"#), "provider"),
    ] {
        let error = refused(format!("{{{members}}}"));
        assert_eq!(error.param.as_deref(), Some(param), "{members}: {}", error.message);
        assert!(error.message.contains(param), "{}", error.message);
    }
    let body = Bytes::from(r#"{"model":"m","prompt":7}"#);
    let error = Probe::parse(&body, Endpoint::Completions).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("prompt"));
    let body = Bytes::from(r#"{"model":"m"}"#);
    let error = Probe::parse(&body, Endpoint::Completions).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("prompt"));
}

#[test]
fn fall_backs_are_names() {
    for value in [r#"[""]"#, r#"["a\u0000"]"#, r#""other""#, "{}", "[[]]", "[null]"] {
        let error = refused(format!(r#"{{"model":"m",{MESSAGES},"models":{value}}}"#));
        assert_eq!(error.param.as_deref(), Some("models"), "{value}: {error}");
    }
    for value in ["null", "[]", "[ ]", r#"["other", "acme/x:1"]"#] {
        let body = Bytes::from(format!(r#"{{"model":"m",{MESSAGES},"models":{value}}}"#));
        assert!(Probe::parse(&body, Endpoint::ChatCompletions).is_ok(), "{value}");
    }
}

#[test]
fn a_member_in_other_letters_is_not_an_unknown_one() {
    // Go's JSON reader takes it for the member, and the last one holds.
    for (name, meant) in [
        ("Model", "model"),
        ("MODEL", "model"),
        ("m\\u004fdel", "model"),
        ("Stream", "stream"),
        ("\u{17f}tream", "stream"),
        ("max_to\u{212a}ens", "max_tokens"),
        ("N", "n"),
    ] {
        let error = refused(format!(r#"{{"model":"m",{MESSAGES},"{name}":"x"}}"#));
        assert_eq!(error.param.as_deref(), Some(meant), "{name}: {error}");
    }
    for name in ["mo_del", "modèl", "x-Model"] {
        let body = Bytes::from(format!(r#"{{"model":"m",{MESSAGES},"{name}":"x"}}"#));
        assert!(Probe::parse(&body, Endpoint::ChatCompletions).is_ok(), "{name}");
    }
}

#[test]
fn syntax_comes_before_meaning() {
    assert_eq!(refused(r#"{"model":1,"n":0"#).param, None);
}

#[test]
fn large_bodies_and_unread_oddities_pass() {
    let text = "x".repeat(2_000_000);
    let body = Bytes::from(format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}],"a":1,"a":2,"s":"\ud800","z":1e400}}"#
    ));
    let probe = Probe::parse(&body, Endpoint::ChatCompletions).unwrap();
    assert!(probe.summary().prompt_bytes > 2_000_000);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, rng_seed: RngSeed::Fixed(17), ..Default::default() })]

    #[test]
    fn no_body_makes_it_panic_or_pass_what_serde_json_refuses(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(), cutting in any::<bool>(),
    ) {
        let mut body = format!(r#"{{"model":"m",{MESSAGES},"stream":true,"stream_options":{{"include_usage":true}},"n":1,"seed":5,"s":"\u00e9"}}"#).into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        if cutting { body.truncate(cut.index(body.len())); }
        let body = Bytes::from(body);
        if Probe::parse(&body, Endpoint::ChatCompletions).is_ok() {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
        }
    }
}
