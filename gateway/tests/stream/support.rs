//! Feeding a stream in chosen pieces, and what came out of it.

use bytes::Bytes;
use gateway::stream::{Error, Fallback, Limits, Out, Plan, Progress, Relay, UsageMode};
use std::sync::Arc;

pub(crate) const MODEL: &str = "qwen3-8b";

pub(crate) fn plan() -> Plan {
    Plan {
        model: Arc::from(MODEL),
        identity: None,
        fallback: Fallback { id: Arc::from("chatcmpl-fallback"), created: 1_700_000_000 },
        usage: UsageMode::Pass,
        evidence: false,
        limits: Limits::default(),
        choices: 1,
    }
}

/// What the client got, and how it ended: `Ok(done_added)` or the error in words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Relayed {
    pub(crate) text: String,
    pub(crate) end: Result<bool, String>,
    pub(crate) progress: Progress,
}

pub(crate) fn relay(plan: &Plan, pieces: Vec<Bytes>) -> Relayed {
    let mut relay = Relay::new(plan.clone());
    let mut out = Out::default();
    let end = run(&mut relay, pieces, &mut out);
    let mut bytes = Vec::new();
    let waiting = out.len_bytes();
    while let Some(piece) = out.pop() {
        assert!(!piece.is_empty());
        bytes.extend_from_slice(&piece);
    }
    assert_eq!((bytes.len(), out.len_bytes()), (waiting, 0));
    let text = String::from_utf8(bytes).expect("whole events are UTF-8");
    Relayed { text, end, progress: relay.progress().clone() }
}

fn run(relay: &mut Relay, pieces: Vec<Bytes>, out: &mut Out) -> Result<bool, String> {
    let words = |error: Error| error.to_string();
    for piece in pieces {
        relay.push(piece, out).map_err(words)?;
    }
    relay.finish(out).map(|completion| completion.done_added).map_err(words)
}

/// Feeds it whole, byte by byte and in random pieces; what comes out must be the same.
pub(crate) fn relay_all_ways(plan: &Plan, input: &[u8]) -> Relayed {
    let whole = relay(plan, vec![Bytes::copy_from_slice(input)]);
    if input.len() < 20_000 {
        assert_eq!(relay(plan, bytewise(input)), whole, "byte by byte");
    }
    for seed in 0..20 {
        assert_eq!(relay(plan, random_pieces(input, seed)), whole, "pieces of seed {seed}");
    }
    whole
}

pub(crate) fn bytewise(input: &[u8]) -> Vec<Bytes> {
    input.chunks(1).map(Bytes::copy_from_slice).collect()
}

/// Pieces of 1 to 1, 4, 16, 64, … bytes, by a pinned generator (SplitMix64).
pub(crate) fn random_pieces(input: &[u8], seed: u64) -> Vec<Bytes> {
    let longest = 1usize << (2 * (seed % 6));
    let mut state = seed;
    let mut pieces = Vec::new();
    let mut rest = input;
    while !rest.is_empty() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut random = state;
        random = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        random = (random ^ (random >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let length = 1 + usize::try_from((random ^ (random >> 31)) % longest as u64).unwrap();
        let (piece, tail) = rest.split_at(length.min(rest.len()));
        pieces.push(Bytes::copy_from_slice(piece));
        rest = tail;
    }
    pieces
}

/// A chunk of the ordinary kind; `choice` is the inside of the one choice, after its index.
pub(crate) fn event(choice: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":7,\
         \"model\":\"{MODEL}\",\"choices\":[{{\"index\":0,{choice}}}]}}\n\n"
    )
}

pub(crate) fn role() -> String {
    event("\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null")
}

pub(crate) fn text(text: &str) -> String {
    event(&format!("\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null"))
}

pub(crate) fn stop() -> String {
    event("\"delta\":{},\"finish_reason\":\"stop\"")
}

pub(crate) const DONE: &str = "data: [DONE]\n\n";
