//! The stream the targets are stated for: 66 chunks of about 250 bytes.

use bytes::Bytes;
use gateway::stream::{Fallback, Limits, Plan, UsageMode};
use std::fmt::Write as _;
use std::sync::Arc;

/// What the provider calls the model.
pub const MODEL: &str = "qwen3-8b";

/// Events in [`events`], `[DONE]` included.
pub const EVENTS: u64 = 66;

const HEAD: &str = "\"id\":\"chatcmpl-0192f0c1a2b37c4d8e5f60718293a4b5\",\
    \"object\":\"chat.completion.chunk\",\"created\":1763800000,\"model\":\"qwen3-8b\",\
    \"system_fingerprint\":\"fp_44709d6fcb\"";

/// The events of one answer. With evidence each carries its token ids in a comment.
pub fn events(evidence: bool) -> Vec<Bytes> {
    let mut events = Vec::new();
    let mut push = |number: u64, choice: &str| {
        let mut event = String::new();
        if evidence {
            let _ = writeln!(event, ": q {}", 1000 + number);
        }
        let _ = write!(event, "data: {{{HEAD},\"choices\":[{{\"index\":0,{choice}}}]}}\n\n");
        events.push(Bytes::from(event));
    };
    push(
        0,
        "\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null",
    );
    for number in 1..EVENTS - 2 {
        push(
            number,
            &format!(
                "\"delta\":{{\"content\":\" word{number}\"}},\"logprobs\":null,\"finish_reason\":null"
            ),
        );
    }
    push(EVENTS - 2, "\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"");
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
}

/// The plan of a client that asks for `model`.
pub fn plan(model: &str, evidence: bool) -> Plan {
    Plan {
        model: Arc::from(model),
        identity: None,
        fallback: Fallback { id: Arc::from("chatcmpl-0"), created: 1 },
        usage: UsageMode::Strip,
        evidence,
        limits: Limits::default(),
        choices: 1,
    }
}
