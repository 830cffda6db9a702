//! Requests read and sent on: only what must differ differs.

use bytes::Bytes;
use gateway::request::{
    Continuation, DeveloperRole, Dialect, Endpoint, Probe, Rewrite, Summary, TokenLimit,
};
use openapi::resume::Resume;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};

const MESSAGES: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

fn summary(body: &str) -> Summary {
    let body = Bytes::from(body.to_owned());
    Probe::parse(&body, Endpoint::ChatCompletions).unwrap().into_summary()
}

fn rewritten(body: &str, rewrite: Rewrite<'_>) -> String {
    let out = summary(body).upstream_body(&Bytes::from(body.to_owned()), rewrite);
    String::from_utf8(out.to_vec()).unwrap()
}

const AS_IT_IS: Rewrite<'_> =
    Rewrite { model: "m", stream: true, seed: None, dialect: AS_SENT, continuation: None };
const AS_SENT: Dialect =
    Dialect { token_limit: TokenLimit::AsSent, developer: DeveloperRole::AsSent };

#[test]
fn the_facts_are_read() {
    let body = Bytes::from(format!(
        r#" {{"model":"org\/m\u00e9","x":[1e400],{MESSAGES},"stream":true,"stream_options":{{"a":1,"include_usage":true}},
        "max_tokens":5,"max_completion_tokens":7,"n":2,"seed":-3,"temperature":0.5,"user":"u\n","tools":[{{}}],
        "response_format":{{"type":"json_object"}},"logprobs":true,"provider":{{"sort":"price"}},"verification":null}} "#
    ));
    let probe = Probe::parse(&body, Endpoint::ChatCompletions).unwrap();
    assert_eq!(probe.model, "org/mé");
    assert_eq!(probe.messages, Some(r#"[{"role":"user","content":"hi"}]"#));
    assert_eq!(probe.user.as_deref(), Some("u\n"));
    assert_eq!((probe.tools, probe.provider), (Some("[{}]"), Some(r#"{"sort":"price"}"#)));
    assert_eq!((probe.verification, probe.prompt), (None, None));
    let facts = probe.into_summary();
    assert!(
        facts.stream && facts.include_usage && facts.logprobs && facts.tools && facts.structured
    );
    assert_eq!((facts.choices, facts.max_tokens, facts.seed), (2, Some(7), Some(-3)));
    assert_eq!((facts.prompt_bytes, facts.messages, facts.temperature), (32, 1, Some(0.5)));
}

#[test]
fn null_is_unset() {
    let nulls = [
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "n",
        "seed",
        "temperature",
        "user",
        "logprobs",
        "tools",
        "response_format",
        "provider",
        "verification",
        "prompt",
    ]
    .map(|name| format!("\"{name}\":null,"))
    .concat();
    let facts = summary(&format!(r#"{{{nulls}"model":"m",{MESSAGES}}}"#));
    assert!(
        !(facts.stream || facts.include_usage || facts.logprobs || facts.tools || facts.structured)
    );
    assert_eq!(
        (facts.choices, facts.max_tokens, facts.seed, facts.temperature),
        (1, None, None, None)
    );
}

#[test]
fn a_limit_of_no_tokens_is_the_providers_to_judge() {
    let facts = summary(&format!(r#"{{"model":"m",{MESSAGES},"max_tokens":0}}"#));
    assert_eq!(facts.max_tokens, Some(0));
    let facts = summary(&format!(r#"{{"model":"m",{MESSAGES},"max_completion_tokens":0}}"#));
    assert_eq!(facts.max_tokens, Some(0));
}

#[test]
fn legacy_completions_need_a_prompt() {
    let body = Bytes::from(r#"{"model":"m","prompt":"Once","max_tokens":0,"logprobs":3}"#);
    let probe = Probe::parse(&body, Endpoint::Completions).unwrap();
    assert_eq!(probe.prompt, Some("\"Once\""));
    assert_eq!((probe.summary().prompt_bytes, probe.summary().max_tokens), (6, Some(0)));
}

#[test]
fn nothing_differs_and_the_very_same_bytes_come_back() {
    let body = Bytes::from(format!(
        r#"{{"model":"m",{MESSAGES},"stream":true,"stream_options":{{"include_usage":true}},"seed":1}}"#
    ));
    let facts = Probe::parse(&body, Endpoint::ChatCompletions).unwrap().into_summary();
    let out = facts.upstream_body(&body, Rewrite { seed: Some(9), ..AS_IT_IS });
    assert_eq!((out.as_ptr(), out.len()), (body.as_ptr(), body.len()));
}

#[test]
fn a_whole_request_goes_out_as_a_stream_with_usage() {
    let body = format!(r#"{{ "model" : "m", {MESSAGES} , "x":1.10 }}"#);
    assert_eq!(
        rewritten(&body, AS_IT_IS),
        format!(
            r#"{{"stream":true,"stream_options":{{"include_usage":true}}, "model" : "m", {MESSAGES} , "x":1.10 }}"#
        )
    );
    let body = format!(r#"{{"stream":false,"model":"m",{MESSAGES},"stream_options":null}}"#);
    assert_eq!(
        rewritten(&body, AS_IT_IS),
        format!(
            r#"{{"stream":true,"model":"m",{MESSAGES},"stream_options":{{"include_usage":true}}}}"#
        )
    );
}

#[test]
fn usage_is_merged_into_options_that_are_there() {
    for (given, wanted) in [
        (r#"{}"#, r#"{"include_usage":true}"#),
        (
            r#"{ "include_obfuscation":false}"#,
            r#"{"include_usage":true, "include_obfuscation":false}"#,
        ),
        (r#"{"include_usage": false,"x":1}"#, r#"{"include_usage": true,"x":1}"#),
        (r#"{"include_usage":null}"#, r#"{"include_usage":true}"#),
    ] {
        let body = |options: &str| {
            format!(r#"{{"model":"m","stream_options":{options},"stream":true,{MESSAGES}}}"#)
        };
        assert_eq!(rewritten(&body(given), AS_IT_IS), body(wanted));
    }
}

#[test]
fn a_stream_goes_out_whole_where_the_upstream_has_none() {
    let body = format!(
        r#"{{"stream_options":{{"include_usage":true}},"model":"m","stream":true,{MESSAGES}}}"#
    );
    let whole = Rewrite { stream: false, ..AS_IT_IS };
    assert_eq!(rewritten(&body, whole), format!(r#"{{"model":"m","stream":false,{MESSAGES}}}"#));
    let body = format!(r#"{{"model":"m",{MESSAGES}}}"#);
    assert_eq!(rewritten(&body, whole), body);
}

#[test]
fn model_and_seed_are_put_in() {
    let rewrite = Rewrite { model: "up/\"s\"", seed: Some(-5), stream: false, ..AS_IT_IS };
    let body = format!(r#"{{{MESSAGES},"model" : "\u006d", "seed": null}}"#);
    assert_eq!(
        rewritten(&body, rewrite),
        format!(r#"{{{MESSAGES},"model" : "up/\"s\"", "seed": -5}}"#)
    );
    let body = format!(r#"{{"model":"m",{MESSAGES}}}"#);
    let seeded = Rewrite { model: "m", ..rewrite };
    assert_eq!(rewritten(&body, seeded), format!(r#"{{"seed":-5,"model":"m",{MESSAGES}}}"#));
    let escaped = format!(r#"{{"mod\u0065l":"\u006d",{MESSAGES}}}"#);
    assert_eq!(rewritten(&escaped, Rewrite { stream: false, ..AS_IT_IS }), escaped);
}

/// As it goes to an upstream of this dialect, asked whole.
fn translated(body: &str, token_limit: TokenLimit, developer: DeveloperRole) -> String {
    let dialect = Dialect { token_limit, developer };
    rewritten(body, Rewrite { stream: false, dialect, ..AS_IT_IS })
}

#[test]
fn one_limit_goes_out_under_the_name_the_upstream_knows() {
    use TokenLimit::{AsSent, MaxCompletionTokens, MaxTokens};
    let old = |limit: &str| format!("\"max_tokens\":{limit}");
    let new = |limit: &str| format!("\"max_completion_tokens\":{limit}");
    for (given, limit, wanted) in [
        (old("5"), AsSent, old("5")),
        (old("5"), MaxTokens, old("5")),
        (old("5"), MaxCompletionTokens, new("5")),
        (new("5"), AsSent, new("5")),
        (new("5"), MaxTokens, old("5")),
        (old("7") + "," + &new("5"), AsSent, new("5")),
        (old("7") + "," + &new("5"), MaxTokens, old("5")),
        (old("7") + "," + &new("5"), MaxCompletionTokens, new("5")),
        (new("null") + "," + &old("7"), AsSent, old("7")),
        (new("null") + "," + &old("7"), MaxCompletionTokens, new("7")),
        (new("null"), MaxTokens, new("null")),
        (
            "\"max_t\\u006fkens\" : 5".to_owned(),
            MaxCompletionTokens,
            "\"max_completion_tokens\" : 5".to_owned(),
        ),
    ] {
        for (before, after) in
            [("", ",\"model\":\"m\""), ("\"model\":\"m\",", ""), ("\"model\":\"m\",", ",\"x\":1.0")]
        {
            let body = |limit: &str| format!("{{{before}{limit}{after},{MESSAGES}}}");
            let out = translated(&body(&given), limit, DeveloperRole::AsSent);
            assert_eq!(out, body(&wanted), "{limit:?}");
        }
    }
    // Completions know one name alone.
    let body = Bytes::from(r#"{"model":"m","prompt":"x","max_tokens":5}"#);
    let facts = Probe::parse(&body, Endpoint::Completions).unwrap().into_summary();
    let dialect = Dialect { token_limit: MaxCompletionTokens, ..AS_SENT };
    assert_eq!(facts.upstream_body(&body, Rewrite { stream: false, dialect, ..AS_IT_IS }), body);
}

/// As it goes to an upstream that goes on with an answer.
fn continued(body: &str, continuation: Continuation<'_>) -> Value {
    let dialect = Dialect { token_limit: TokenLimit::MaxTokens, ..AS_SENT };
    let rewrite = Rewrite { dialect, continuation: Some(continuation), ..AS_IT_IS };
    serde_json::from_str(&rewritten(body, rewrite)).unwrap()
}

#[test]
fn a_node_is_told_the_tokens_there_are() {
    let resume = Resume { ids: vec![7, 8], text_bytes: 9, prompt_ids_sha256: None };
    for own in ["", r#""quorate":{"resume":{"ids":[1]}},"#, r#""quorate":null,"#] {
        let body = format!(r#"{{{own}"model":"m",{MESSAGES},"max_tokens":5}}"#);
        let out = continued(&body, Continuation::Resume(&resume));
        assert_eq!(out["quorate"], json!({"resume": {"ids": [7, 8], "text_bytes": 9}}));
        assert_eq!((&out["max_tokens"], out["messages"].as_array().unwrap().len()), (&json!(5), 1));
    }
}

#[test]
fn a_server_is_told_the_text_there_is_and_has_as_many_tokens_less() {
    let prefill = Continuation::Prefill { text: "so \"far\"\n", tokens: 3 };
    let turn = json!({"role": "assistant", "content": "so \"far\"\n"});
    for (limits, left) in [
        (r#","max_tokens":10"#, json!(7)),
        (r#","max_completion_tokens":10,"max_tokens":20"#, json!(7)),
        (r#","max_completion_tokens":null,"max_tokens":20"#, json!(17)),
        (r#","max_tokens":2"#, json!(1)),
        ("", Value::Null),
    ] {
        let body = format!(r#"{{"model":"m",{MESSAGES}{limits}}}"#);
        let out = continued(&body, prefill);
        assert_eq!(out["messages"], json!([{"role": "user", "content": "hi"}, turn]), "{limits}");
        assert_eq!(out["max_tokens"], left, "{limits}");
        let flags = (&out["continue_final_message"], &out["add_generation_prompt"]);
        assert_eq!(flags, (&json!(true), &json!(false)));
    }
    assert!(Continuation::fits(&Bytes::from_static(b"{}")));
    assert!(!Continuation::fits(&Bytes::from_static(br#"{"add_generation_prompt":true}"#)));
}

#[test]
fn the_developer_is_called_system_where_the_upstream_knows_no_other() {
    let body = r#"{"model":"m","messages":[{"content":"developer","role":"developer"},
        {"role" : "devel\u006fper","x":{"role":"developer"}},{"role":"user","content":[{"role":"developer"}]}]}"#;
    assert_eq!(translated(body, TokenLimit::AsSent, DeveloperRole::AsSent), body);
    let wanted = r#"{"model":"m","messages":[{"content":"developer","role":"system"},
        {"role" : "system","x":{"role":"developer"}},{"role":"user","content":[{"role":"developer"}]}]}"#;
    assert_eq!(translated(body, TokenLimit::AsSent, DeveloperRole::System), wanted);
}

#[test]
fn what_is_for_the_gateway_alone_reaches_no_provider() {
    let rest = format!(
        r#"{{"model":"m",{MESSAGES},"stream":true,"stream_options":{{"include_usage":true}}}}"#
    );
    for (ours, at) in [
        (r#""provider":{"only":["a"]},"#, 1),
        (r#""provider":null,"verification":{"mode":"off"},"models":["b"],"#, 1),
        (r#""models":[] , "verification":{},"#, 13),
    ] {
        let mut body = rest.clone();
        body.insert_str(at, ours);
        assert_eq!(rewritten(&body, AS_IT_IS).replace(' ', ""), rest, "{body}");
    }
    let last = rest.replace(r#"true}}"#, r#"true},"provider":{},"models":["b"]}"#);
    assert_eq!(rewritten(&last, AS_IT_IS), rest);
}

#[test]
fn without_a_model_the_first_of_models_is_asked() {
    let body = format!(r#"{{"models":["a","b"],{MESSAGES}}}"#);
    let facts = summary(&body);
    assert_eq!((facts.model.as_str(), facts.models), ("a", vec!["b".to_owned()]));
    let out = rewritten(&body, Rewrite { model: "a", stream: false, ..AS_IT_IS });
    assert_eq!(out, format!(r#"{{"model":"a",{MESSAGES}}}"#));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, rng_seed: RngSeed::Fixed(3), ..Default::default() })]

    #[test]
    fn unknown_members_survive_in_order_with_their_number_text(
        names in prop::collection::vec("[a-z]{1,3}", 0..8),
        numbers in prop::collection::vec("-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?", 8),
        order in any::<prop::sample::Index>(),
        options in prop::sample::select(vec!["", r#""stream_options":{},"#, r#""stream_options":null ,"#]),
        space in "[ \n\t]{0,2}",
    ) {
        let mut members: Vec<String> = names.iter().zip(&numbers)
            .map(|(name, number)| format!("{space}\"x_{name}\"{space}:[{number}{space},\"\\u00e9\"]")).collect();
        members.insert(order.index(members.len() + 1), format!("\"model\":{space}\"theirs\""));
        let body = format!("{{{options}{},{MESSAGES}}}", members.join(","));
        let out = rewritten(&body, Rewrite { model: "ours", seed: Some(1), ..AS_IT_IS });
        // Taking out what was put in gives back every byte.
        let mut back = out.replacen("\"seed\":1,", "", 1).replacen("\"stream\":true,", "", 1).replacen("ours", "theirs", 1);
        back = match options {
            "" => back.replacen("\"stream_options\":{\"include_usage\":true},", "", 1),
            r#""stream_options":{},"# => back.replacen("\"include_usage\":true", "", 1),
            _ => back.replacen("{\"include_usage\":true}", "null", 1),
        };
        prop_assert_eq!(back, body);
        let parsed: serde_json::Value = serde_json::from_str(&MESSAGES.replacen("\"messages\":", "", 1)).unwrap();
        prop_assert!(parsed.is_array());
        let again = Bytes::from(out);
        let facts = Probe::parse(&again, Endpoint::ChatCompletions).unwrap().into_summary();
        prop_assert!(facts.stream && facts.include_usage && facts.model == "ours" && facts.seed == Some(1));
    }
}
