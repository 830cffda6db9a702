//! The body a provider gets: JSON, equal to the edit made with serde_json, with order, unknown members
//! and the text of every value as the client wrote them.
#![no_main]

use bytes::Bytes;
use gateway::request::{DeveloperRole, Dialect, Endpoint, Probe, Rewrite, TokenLimit};
use libfuzzer_sys::fuzz_target;
use quorate_fuzz::Members;

/// What the edit is by the words of its documentation.
fn edited(mut members: Members, rewrite: Rewrite, streams: bool) -> Members {
    for ours in ["provider", "verification", "models"] {
        members.remove(ours);
    }
    let same =
        |raw: &str| serde_json::from_str::<String>(raw).is_ok_and(|name| name == rewrite.model);
    if !members.get("model").is_some_and(same) {
        members.set("model", &serde_json::to_string(rewrite.model).unwrap());
    }
    if streams != rewrite.stream {
        members.set("stream", if rewrite.stream { "true" } else { "false" });
    }
    if !rewrite.stream {
        members.remove("stream_options");
    } else {
        let given = members.get("stream_options").unwrap_or("null");
        let mut options = Members::read(given).unwrap_or(Members(Vec::new()));
        if options.get("include_usage") != Some("true") {
            options.set("include_usage", "true");
            members.set("stream_options", &print(&options));
        }
    }
    if let Some(seed) = rewrite.seed
        && members.get("seed").is_none_or(|given| given == "null")
    {
        members.set("seed", &seed.to_string());
    }
    if members.get("messages").is_some() {
        speak(&mut members, rewrite.dialect);
    }
    members
}

/// The words of one upstream.
fn speak(members: &mut Members, dialect: Dialect) {
    const NAMES: [&str; 2] = ["max_completion_tokens", "max_tokens"];
    let set = |name: &&str| members.get(name).is_some_and(|value| value != "null");
    if let Some(holds) = NAMES.into_iter().find(set) {
        let wanted = match dialect.token_limit {
            TokenLimit::AsSent => holds,
            TokenLimit::MaxTokens => "max_tokens",
            TokenLimit::MaxCompletionTokens => "max_completion_tokens",
        };
        NAMES.into_iter().filter(|name| *name != holds).for_each(|name| members.remove(name));
        members
            .0
            .iter_mut()
            .filter(|(name, _)| name == holds)
            .for_each(|m| m.0 = wanted.to_owned());
    }
    if dialect.developer == DeveloperRole::System
        && let Some(mut messages) = members.get("messages").and_then(messages)
    {
        for message in &mut messages {
            let role =
                message.get("role").and_then(|role| serde_json::from_str::<String>(role).ok());
            if role.is_some_and(|role| role == "developer") {
                message.set("role", "\"system\"");
            }
        }
        members.set("messages", &list(&messages));
    }
}

fn messages(raw: &str) -> Option<Vec<Members>> {
    serde_json::from_str(raw).ok()
}

/// Whether serde_json can name everything the edit looks at: half a surrogate pair has no name.
fn is_readable(given: &Members) -> bool {
    let options = given.get("stream_options").filter(|options| *options != "null");
    options.is_none_or(|options| Members::read(options).is_some())
        && given.get("messages").is_none_or(|list| messages(list).is_some())
}

fn list(messages: &[Members]) -> String {
    format!("[{}]", messages.iter().map(print).collect::<Vec<_>>().join(","))
}

fn print(members: &Members) -> String {
    let members = members.0.iter().map(|(name, value)| {
        let name = serde_json::to_string(name).unwrap();
        format!("{name}:{value}")
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// Equal but for the order of what was put in front, and for blanks and the spelling of names inside
/// `stream_options` and `messages`.
fn assert_same(mut got: Members, mut wanted: Members, kept: usize) {
    for members in [&mut got, &mut wanted] {
        if let Some(messages) = members.get("messages").and_then(messages) {
            members.set("messages", &list(&messages));
        }
        if let Some(options) = members.get("stream_options").and_then(Members::read) {
            members.set("stream_options", &print(&options));
        }
        let new = members.0.len().checked_sub(kept).expect("a member was lost");
        members.0[..new].sort();
    }
    assert_eq!(got, wanted);
}

fuzz_target!(|data: &[u8]| {
    let Some(([control, seed], body)) = data.split_first_chunk::<2>() else { return };
    let endpoint = if control & 1 == 0 { Endpoint::ChatCompletions } else { Endpoint::Completions };
    let body = Bytes::copy_from_slice(body);
    let Ok(probe) = Probe::parse(&body, endpoint) else { return };
    let summary = probe.into_summary();
    let own = summary.model.clone();
    let rewrite = Rewrite {
        model: if control & 2 == 0 { &own } else { "theirs/\"x\"" },
        stream: control & 4 == 0,
        seed: (control & 8 == 0).then_some(i64::from(*seed) - 7),
        dialect: Dialect {
            token_limit: match control >> 4 & 3 {
                0 | 3 => TokenLimit::AsSent,
                1 => TokenLimit::MaxTokens,
                _ => TokenLimit::MaxCompletionTokens,
            },
            developer: match control >> 6 & 1 {
                0 => DeveloperRole::AsSent,
                _ => DeveloperRole::System,
            },
        },
        continuation: None,
    };
    let out = summary.upstream_body(&body, rewrite);
    let Some(given) = Members::of_object(std::str::from_utf8(&body).unwrap()) else { return };
    if !is_readable(&given) {
        return;
    }
    let text = std::str::from_utf8(&out).expect("text");
    let got = Members::read(text).unwrap_or_else(|| panic!("not an object: {text}"));
    let wanted = edited(given.clone(), rewrite, summary.stream);
    let put_in = |name: &str| matches!(name, "model" | "stream" | "stream_options" | "seed");
    let kept = |(name, _): &&(String, String)| !put_in(name) || given.count(name) > 0;
    let kept = wanted.0.iter().filter(kept).count();
    assert_same(got, wanted, kept);
    // What a provider reads is what was asked of it.
    let again = Probe::parse(&out, endpoint).expect("its own work").into_summary();
    assert_eq!((again.model.as_str(), again.stream), (rewrite.model, rewrite.stream));
    assert!(!again.stream || again.include_usage);
});
