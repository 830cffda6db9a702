//! A chat stream told as a Response's events: the same however it is cut, each event named and
//! numbered without a gap, and one end, the last.
#![no_main]

use bytes::Bytes;
use gateway::responses::{Events, Frame, translate};
use libfuzzer_sys::fuzz_target;
use quorate_fuzz::{pieces, split};
use serde::Deserialize;
use std::sync::LazyLock;

static FRAME: LazyLock<Frame> = LazyLock::new(|| {
    let request = br#"{"model":"m","input":"hi","stream":true}"#;
    translate(request).expect("a request").frame.named("req_1", 7)
});

/// All that is read of an event: a provider's numbers pass as they are, in whatever range.
#[derive(Deserialize)]
struct Event {
    r#type: String,
    sequence_number: u64,
}

fn told(pieces: &[Bytes]) -> Vec<u8> {
    let mut events = Events::new(FRAME.clone(), 1 << 14, 1 << 16);
    let mut bytes = Vec::new();
    for piece in pieces {
        bytes.extend_from_slice(&events.push(piece, 9));
    }
    bytes.extend_from_slice(&events.finish());
    bytes
}

fuzz_target!(|data: &[u8]| {
    let Some((input, seed)) = split(data) else { return };
    // The relay, whose output this is, lets nothing else pass.
    if std::str::from_utf8(input).is_err() {
        return;
    }
    let whole = told(&[Bytes::copy_from_slice(input)]);
    assert_eq!(told(&pieces(input, seed)), whole, "cut otherwise");
    let text = String::from_utf8(whole).expect("text");
    let (mut number, mut ends) = (0, 0);
    let blocks = text.split("\n\n").filter(|block| !block.is_empty());
    for block in blocks {
        let lines = block.lines().filter(|line| !line.starts_with(':') && !line.is_empty());
        let lines: Vec<&str> = lines.collect();
        let [name, data] = lines[..] else {
            assert!(lines.is_empty(), "{block}");
            continue;
        };
        let name = name.strip_prefix("event: ").expect(block);
        let data = data.strip_prefix("data: ").expect(block);
        let event: Event = serde_json::from_str(data).expect(block);
        assert_eq!(event.r#type, name);
        assert_eq!(event.sequence_number, number, "{block}");
        assert_eq!(ends, 0, "something follows the end: {block}");
        number += 1;
        let end = ["response.completed", "response.incomplete", "response.failed"];
        ends += usize::from(end.contains(&name));
    }
    assert_eq!(ends, 1, "{text}");
});
