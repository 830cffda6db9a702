//! The one reading of a request: it agrees with serde_json on what is JSON, and a request that is
//! accepted has each member acted on once, by whatever spelling, with the value serde_json reads.
#![no_main]

use bytes::Bytes;
use gateway::request::{Endpoint, Probe};
use libfuzzer_sys::fuzz_target;
use quorate_fuzz::Members;
use serde::de::IgnoredAny;

const ACTED_ON: [&str; 12] = [
    "model",
    "models",
    "messages",
    "prompt",
    "input",
    "stream",
    "stream_options",
    "n",
    "seed",
    "tools",
    "provider",
    "verification",
];

fuzz_target!(|data: &[u8]| {
    let Some((endpoint, body)) = data.split_first() else { return };
    let endpoint = match endpoint % 3 {
        0 => Endpoint::ChatCompletions,
        1 => Endpoint::Completions,
        _ => Endpoint::Embeddings,
    };
    let body = Bytes::copy_from_slice(body);
    let text = std::str::from_utf8(&body).ok();
    let is_json = text.is_some_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    let probe = match Probe::parse(&body, endpoint) {
        Ok(probe) => probe,
        Err(error) => {
            assert!(!error.message.is_empty() && error.message.len() < 4096, "{error:?}");
            // A member is only blamed in a body that is JSON.
            assert!(error.param.is_none() || is_json, "{error:?}");
            return;
        }
    };
    assert!(is_json, "accepted, and not JSON");
    let text = text.expect("JSON is text");
    let Some(members) = Members::of_object(text) else { return };
    for name in ACTED_ON {
        let spelled = |known: &str| known.to_lowercase() == name;
        let times = members.0.iter().filter(|(known, _)| spelled(known)).count();
        assert!(times <= 1, "{name} is there {times} times");
        assert_eq!(times, members.count(name), "{name} in other letters");
    }
    let summary = probe.summary();
    match members.get("model") {
        Some(model) => assert_eq!(serde_json::from_str::<String>(model).unwrap(), summary.model),
        None => assert!(members.get("models").is_some()),
    }
    let flag = |name: &str| members.get(name) == Some("true");
    assert_eq!(summary.stream, flag("stream") && endpoint != Endpoint::Embeddings);
    let seed = members.get("seed").filter(|seed| *seed != "null").map(|seed| seed.parse().unwrap());
    assert_eq!(summary.seed, seed);
    let n = members.get("n").filter(|n| *n != "null").map_or(1, |n| n.parse().unwrap());
    assert_eq!(summary.choices, n);
});
