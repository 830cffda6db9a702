//! A provider's stream through the relay: however it is cut the client gets the same bytes and the
//! same end, only `data:` and comment lines, and `[DONE]` once and last or not at all.
#![no_main]

use bytes::Bytes;
use gateway::stream::{Fallback, Limits, Out, Plan, Relay, UsageMode};
use libfuzzer_sys::fuzz_target;
use quorate_fuzz::{pieces, split};

fn relayed(plan: &Plan, pieces: Vec<Bytes>) -> (Vec<u8>, Result<bool, String>) {
    let mut relay = Relay::new(plan.clone());
    let mut out = Out::default();
    let feed = || {
        for piece in pieces {
            relay.push(piece, &mut out).map_err(|error| error.to_string())?;
        }
        let end = relay.finish(&mut out).map_err(|error| error.to_string())?;
        Ok(end.done_added)
    };
    let end = feed();
    let mut bytes = Vec::new();
    while let Some(piece) = out.pop() {
        bytes.extend_from_slice(&piece);
    }
    (bytes, end)
}

fuzz_target!(|data: &[u8]| {
    let Some((input, seed)) = split(data) else { return };
    let plan = Plan {
        model: "ours".into(),
        identity: None,
        fallback: Fallback { id: "chatcmpl-fallback".into(), created: 7 },
        usage: if seed & 1 << 16 == 0 { UsageMode::Pass } else { UsageMode::Strip },
        evidence: seed & 1 << 17 != 0,
        limits: Limits { event_bytes_max: 1 << 14, ids_max: 1 << 10, ..Limits::default() },
        choices: 1 + (seed >> 18) % 3,
    };
    let whole = relayed(&plan, vec![Bytes::copy_from_slice(input)]);
    assert_eq!(relayed(&plan, pieces(input, seed)), whole, "cut otherwise");
    let (bytes, end) = whole;
    let text = std::str::from_utf8(&bytes).expect("whole events are UTF-8");
    let lines = text.split(['\n', '\r']).filter(|line| !line.is_empty());
    let lines: Vec<&str> = lines.collect();
    let passes = |line: &str| line == "data" || line.starts_with("data:") || line.starts_with(':');
    assert!(lines.iter().all(|line| passes(line)), "{text}");
    let done =
        |line: &&&str| line.strip_prefix("data:").is_some_and(|data| data.trim() == "[DONE]");
    let dones = lines.iter().filter(done).count();
    assert_eq!(dones, usize::from(end.is_ok()), "{text}");
    if end.is_ok() {
        assert!(
            lines.iter().rev().find(|line| line.starts_with("data:")).is_some_and(|l| done(&l))
        );
    }
});
