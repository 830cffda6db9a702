//! Whatever upstreams send that go on with one another's answers: the client gets one stream, and what is
//! counted of it, and given to the next, is what the client has.

use bytes::Bytes;
use gateway::stream::{Error, Out, Plan, Relay, Seam, UsageMode};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};

use super::support::{plan, random_pieces};

/// One thing that an upstream may send.
#[derive(Debug, Clone)]
enum Sends {
    Role,
    Text(&'static str),
    RoleAndText(&'static str),
    Reasoning(&'static str),
    Call(&'static str),
    Usage { alone: bool },
    Finish(&'static str),
    Ids(u32),
    Line(&'static str),
}

fn sends() -> impl Strategy<Value = Sends> {
    let text = || prop::sample::select(vec!["a", " b", "\n", " \n", "\u{a0}", "é\"\\", "", "🦀"]);
    let lines = vec![
        ": at work\n\n",
        "data: {\n\n",
        "data:\n\n",
        "data: {\"choices\":[{}]}\n\n",
        "data: {\"choices\":[]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"text\":\"t\"}]}\r\n\r\n",
        "data: {\"error\":{\"message\":\"no\"}}\n\n",
        "event: error\ndata: {}\n\n",
        "data: [DONE]\n\n",
    ];
    prop_oneof![
        3 => Just(Sends::Role),
        8 => text().prop_map(Sends::Text),
        2 => text().prop_map(Sends::RoleAndText),
        1 => text().prop_map(Sends::Reasoning),
        1 => text().prop_map(Sends::Call),
        1 => any::<bool>().prop_map(|alone| Sends::Usage { alone }),
        1 => prop::sample::select(vec!["stop", "length", "error", "null"]).prop_map(Sends::Finish),
        2 => (0..9u32).prop_map(Sends::Ids),
        3 => prop::sample::select(lines).prop_map(Sends::Line),
    ]
}

impl Sends {
    fn print(&self, id: &str) -> String {
        let delta = match self {
            Self::Role => json!({"role": "assistant", "content": ""}),
            Self::Text(text) => json!({ "content": text }),
            Self::RoleAndText(text) => json!({"role": "assistant", "content": text}),
            Self::Reasoning(text) => json!({ "reasoning": text }),
            Self::Call(text) => json!({"tool_calls": [{"index": 0, "id": "c",
                "function": {"name": "f", "arguments": text}}]}),
            Self::Finish(_) | Self::Usage { .. } => json!({}),
            Self::Ids(number) => return format!(": q {number}\n\n"),
            Self::Line(line) => return (*line).to_owned(),
        };
        let finish = if let Self::Finish(word) = self { json!(word) } else { Value::Null };
        let mut chunk = json!({"id": id, "object": "chat.completion.chunk", "created": 7, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        if let Self::Usage { alone } = self {
            chunk["usage"] = json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7});
            if *alone {
                chunk["choices"] = json!([]);
            }
        }
        format!("data: {chunk}\n\n")
    }
}

/// What the client has of the answer.
#[derive(Debug, Default)]
struct Client {
    content: String,
    /// All text: of the content, reasoning, and calls.
    bytes: u64,
    ids: Vec<Value>,
    usages: usize,
    dones: usize,
}

impl Client {
    fn read(&mut self, sent: &str) {
        for line in sent.lines().filter_map(|line| line.strip_prefix("data:")) {
            assert_eq!(self.dones, 0, "behind the end: {sent}");
            if line.trim() == "[DONE]" {
                self.dones += 1;
                continue;
            }
            let chunk: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            self.ids.push(chunk["id"].clone());
            self.usages += usize::from(chunk["usage"].is_object());
            let choice = &chunk["choices"][0];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let delta = &choice["delta"];
            let content = text(&delta["content"]);
            let call = text(&delta["tool_calls"][0]["function"]["arguments"]);
            // Both names of reasoning carry the same.
            let rest = [text(&delta["reasoning"]), text(&choice["text"]), call].concat();
            self.bytes += (content.len() + rest.len()) as u64;
            self.content += &content;
        }
    }
}

fn drain(out: &mut Out) -> String {
    let mut sent = Vec::new();
    while let Some(piece) = out.pop() {
        sent.extend_from_slice(&piece);
    }
    String::from_utf8(sent).expect("UTF-8")
}

/// As it is done for an upstream that answers, and then for each that goes on.
fn told(plan: &Plan, upstreams: &[(Vec<Sends>, bool)], seed: u64) -> (Client, Relay) {
    let mut relay = Relay::new(plan.clone()).keeping_text();
    let (mut out, mut client) = (Out::default(), Client::default());
    for (number, (events, is_exact)) in upstreams.iter().enumerate() {
        if number > 0 {
            let (mut blank, mut kept) = (String::new(), 0);
            if let Some(text) = relay.said().and_then(|said| said.text()) {
                kept = text.trim_end().len();
                blank = text[kept..].to_owned();
            }
            let seam = match *is_exact || kept == 0 {
                true => Seam::Exact,
                false => Seam::Prefill { tokens: 1, blank },
            };
            relay.go_on(seam);
        }
        let stream: String =
            events.iter().map(|event| event.print(&format!("u{number}"))).collect();
        let pieces = random_pieces(stream.as_bytes(), seed + number as u64);
        let pushed = pieces.into_iter().try_for_each(|piece: Bytes| relay.push(piece, &mut out));
        let ended = pushed.and_then(|()| relay.finish(&mut out).map(|_| ()));
        relay.let_go();
        if relay.has_news() {
            client.read(&drain(&mut out));
        }
        out.clear();
        let progress = relay.progress();
        if ended.is_ok() || progress.finished || !progress.content_seen {
            break;
        }
        assert!(matches!(
            ended,
            Err(Error::Truncated | Error::ErrorEvent(_) | Error::TooManyMalformed { .. })
        ));
    }
    (client, relay)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, rng_seed: RngSeed::Fixed(5), ..Default::default() })]

    #[test]
    fn one_stream_whoever_makes_it(
        upstreams in prop::collection::vec((prop::collection::vec(sends(), 0..14), any::<bool>()), 1..4),
        asks_usage in any::<bool>(),
        seed in any::<u32>(),
    ) {
        let mut plan = plan();
        plan.evidence = true;
        plan.usage = if asks_usage { UsageMode::Pass } else { UsageMode::Strip };
        let (client, relay) = told(&plan, &upstreams, seed.into());
        let progress = relay.progress();
        if progress.content_seen {
            prop_assert_eq!(client.bytes, progress.text_bytes);
        }
        if let Some(text) = relay.said().and_then(|said| said.text()) {
            prop_assert_eq!(text, client.content.as_str());
        }
        prop_assert_eq!(client.dones, usize::from(progress.done));
        prop_assert!(client.usages <= usize::from(asks_usage));
        prop_assert!(client.ids.windows(2).all(|pair| pair[0] == pair[1]), "{:?}", client.ids);
    }
}
