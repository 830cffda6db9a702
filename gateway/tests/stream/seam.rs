//! Another upstream goes on with an answer: what the client gets is one answer, wherever the first
//! one was cut.

use bytes::Bytes;
use gateway::stream::{Assembler, Error, Out, Plan, Relay, Seam, UsageMode};
use serde_json::Value;
use std::path::PathBuf;

use super::support::{DONE, event, plan, role, stop, text};

struct Two {
    relay: Relay,
    out: Out,
}

impl Two {
    fn cut(plan: &Plan, first: &[u8]) -> Self {
        let mut two = Self { relay: Relay::new(plan.clone()).keeping_text(), out: Out::default() };
        two.push(first);
        two
    }

    fn push(&mut self, bytes: &[u8]) {
        self.relay.push(Bytes::copy_from_slice(bytes), &mut self.out).unwrap();
    }

    /// Everything the client got.
    fn end(mut self) -> (String, Relay) {
        self.relay.finish(&mut self.out).unwrap();
        (self.sent(), self.relay)
    }

    fn sent(&mut self) -> String {
        let mut sent = Vec::new();
        while let Some(piece) = self.out.pop() {
            sent.extend_from_slice(&piece);
        }
        String::from_utf8(sent).unwrap()
    }
}

/// One choice, whole, with nothing that a second upstream would write in another way.
fn fixtures() -> Vec<(String, String)> {
    let not = ["two_choices", "roles_repeated", "deep_nesting", "long_event", "multi_line_data"];
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut found: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sse"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .filter(|(name, _)| !not.contains(&name.as_str()))
        .collect();
    found.sort();
    found
}

fn assembled(plan: &Plan, stream: &str) -> String {
    let mut assembler = Assembler::new(plan.clone());
    assembler.push(Bytes::copy_from_slice(stream.as_bytes())).unwrap();
    let body = assembler.finish().unwrap_or_else(|error| panic!("{error}: {stream}")).body;
    String::from_utf8(body.to_vec()).unwrap()
}

/// What an upstream sends that has said the first `events` events elsewhere: under its own name.
fn rest(stream: &str, events: &[&str]) -> String {
    let said: usize = events.iter().map(|event| event.len()).sum();
    let start = if stream.contains("text_completion") { String::new() } else { role() };
    let rest = stream[said..].to_owned();
    start + &rest.replace("chatcmpl-7a1", "chatcmpl-other").replace("1763800000", "1763800999")
}

#[test]
fn cut_at_every_byte_the_answer_is_the_same() {
    let mut cuts = 0;
    for (name, stream) in fixtures() {
        if stream.contains('\r') {
            continue;
        }
        let plan = plan();
        let whole = assembled(&plan, &stream);
        let events: Vec<&str> = stream.split_inclusive("\n\n").collect();
        for cut in 0..stream.len() {
            let mut two = Two::cut(&plan, &stream.as_bytes()[..cut]);
            let progress = two.relay.progress();
            if !progress.content_seen || progress.finished {
                continue;
            }
            let mut end = 0;
            let seen = |event: &&&str| {
                end += event.len();
                end <= cut
            };
            let seen = events.iter().take_while(seen).count();
            two.relay.go_on(Seam::Exact);
            two.push(rest(&stream, &events[..seen]).as_bytes());
            let (sent, _) = two.end();
            assert_eq!(assembled(&plan, &sent), whole, "{name} at {cut}");
            assert_eq!(sent.matches("[DONE]").count(), 1, "{name} at {cut}");
            assert!(!sent.contains("other"), "{name} at {cut}: {sent}");
            cuts += 1;
        }
    }
    assert!(cuts > 5_000, "{cuts}");
}

#[test]
fn bytes_that_need_no_change_are_the_first_streams_own() {
    let whole = [role(), text("one"), text(" two"), text(" three"), stop(), DONE.into()].concat();
    let first = [role(), text("one"), text(" tw")].concat();
    let mut two = Two::cut(&plan(), &first.as_bytes()[..first.len() - 30]);
    two.relay.go_on(Seam::Exact);
    two.push([role(), text(" two"), text(" three"), stop(), DONE.into()].concat().as_bytes());
    assert_eq!(two.end().0, whole);
}

#[test]
fn a_role_beside_the_first_text_is_taken_out() {
    let mut two = Two::cut(&plan(), [role(), text("one")].concat().as_bytes());
    two.relay.go_on(Seam::Exact);
    let both =
        event("\"delta\":{\"role\":\"assistant\",\"content\":\" two\"},\"finish_reason\":null");
    two.push([both, stop(), DONE.into()].concat().as_bytes());
    let (sent, relay) = two.end();
    assert_eq!(sent.matches("\"assistant\"").count(), 1, "{sent}");
    assert!(sent.contains("{\"role\":null,\"content\":\" two\"}"), "{sent}");
    assert_eq!(relay.progress().text_bytes, 7);
}

#[test]
fn an_error_or_a_cut_is_no_end_for_who_goes_on() {
    let plan = plan();
    for broken in ["data: {\"error\":{\"message\":\"no\"}}\n\n", "data: [DONE]\n\n"] {
        let mut relay = Relay::new(plan.clone());
        let mut out = Out::default();
        relay.push([role(), text("one")].concat().into(), &mut out).unwrap();
        assert!(relay.push(broken.into(), &mut out).is_err());
        assert!(matches!(relay.push(text("x").into(), &mut out), Err(Error::Failed)));
        relay.go_on(Seam::Exact);
        relay.push([text(" two"), stop()].concat().into(), &mut out).unwrap();
        assert!(relay.finish(&mut out).unwrap().done_added);
        assert_eq!(relay.progress().text_bytes, 7);
    }
}

#[test]
fn ids_go_on_counting_and_malformed_events_too() {
    let mut plan = plan();
    plan.evidence = true;
    let first = [": q 5\n".to_owned(), text("one"), "data: {\n\n".into()].concat();
    let mut two = Two::cut(&plan, first.as_bytes());
    two.relay.go_on(Seam::Exact);
    let second = [role(), ": q 6\n".into(), text(" two"), "data: {\n\n".into(), stop()].concat();
    two.push(second.as_bytes());
    let (_, relay) = two.end();
    let progress = relay.progress();
    assert_eq!((&progress.ids[0][..], progress.malformed), (&[5, 6][..], 2));
}

#[test]
fn ids_of_who_failed_to_go_on_are_forgotten() {
    let mut plan = plan();
    plan.evidence = true;
    let first = [": q 5\n".to_owned(), text("one")].concat();
    let mut two = Two::cut(&plan, first.as_bytes());
    two.relay.go_on(Seam::Exact);
    // Ids, and nothing that the client could see: it may be another answer's.
    two.push([": q 66\n".into(), role(), ": q 67 68\n\n".into()].concat().as_bytes());
    assert!(!two.relay.has_news());
    two.relay.let_go();
    assert_eq!(two.relay.progress().ids[0], [5]);
    two.relay.go_on(Seam::Exact);
    two.push([": q 6\n".into(), text(" two"), stop()].concat().as_bytes());
    let (_, relay) = two.end();
    assert_eq!(relay.progress().ids[0], [5, 6]);
}

#[test]
fn what_two_said_is_not_checked_as_one_providers() {
    let mut out = Out::default();
    let first: Bytes = [role(), text("one")].concat().into();
    let second: Bytes = [text(" two"), stop()].concat().into();
    let mut lone = Relay::new(plan()).checking(0);
    lone.push([first.clone(), second.clone()].concat().into(), &mut out).unwrap();
    assert!(lone.checkable().is_some());
    let mut two = Relay::new(plan()).checking(0);
    two.push(first, &mut out).unwrap();
    two.go_on(Seam::Exact);
    two.push(second, &mut out).unwrap();
    assert_eq!(two.checkable(), None);
}

#[test]
fn one_upstreams_excess_is_not_the_nexts() {
    let mut plan = plan();
    plan.evidence = true;
    plan.limits.ids_max = 3;
    plan.limits.malformed_max = 1;
    for (excess, own) in [(": q 1 2 3\n\n", ": q 4\n"), ("data: {\n\n", "data: {\n\n")] {
        let mut two = Two::cut(&plan, [": q 5\n".into(), text("one")].concat().as_bytes());
        let broken = two.relay.push(Bytes::from(excess.repeat(2)), &mut two.out);
        assert!(broken.is_err(), "{excess}");
        two.relay.go_on(Seam::Exact);
        two.push([own.to_owned(), text(" two"), stop()].concat().as_bytes());
        assert_eq!(two.end().1.progress().text_bytes, 7);
    }
}

/// The answer's text, from the stream a client got.
fn content(sent: &str) -> String {
    let chunks = sent.lines().filter_map(|line| line.strip_prefix("data: {"));
    let chunks = chunks.map(|chunk| serde_json::from_str::<Value>(&format!("{{{chunk}")).unwrap());
    chunks
        .map(|chunk| {
            chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
        })
        .collect()
}

#[test]
fn white_space_that_comes_again_is_not_shown_twice() {
    for (first, second, whole) in [
        ("one\\n\\n", &["\\n", "\\ntwo"][..], "one\n\ntwo"),
        ("one\\n\\n", &["\\n\\ntwo"][..], "one\n\ntwo"),
        ("one\\n\\n", &["two"][..], "one\n\ntwo"),
        ("one ", &["  two"][..], "one  two"),
        ("one", &[" two"][..], "one two"),
        ("one\\u00a0", &["\\u00a0", "two"][..], "one\u{a0}two"),
    ] {
        let mut two = Two::cut(&plan(), [role(), text(first)].concat().as_bytes());
        let said = two.relay.said().unwrap().text().unwrap().to_owned();
        let blank = said[said.trim_end().len()..].to_owned();
        two.relay.go_on(Seam::Prefill { tokens: 1, blank });
        two.push(role().as_bytes());
        second.iter().for_each(|piece| two.push(text(piece).as_bytes()));
        two.push([stop(), DONE.into()].concat().as_bytes());
        let (sent, relay) = two.end();
        assert_eq!(content(&sent), whole, "{second:?}");
        assert_eq!(relay.progress().text_bytes, whole.len() as u64);
        assert_eq!(relay.said().unwrap().text(), Some(whole));
    }
}

#[test]
fn usage_is_that_of_the_whole_answer() {
    let usage = "data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":9,\"model\":\"m\",\
                 \"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":3,\
                 \"total_tokens\":15,\"more\":1}}\n\n";
    for (mode, shown) in [(UsageMode::Pass, 1), (UsageMode::Strip, 0)] {
        let mut plan = plan();
        plan.usage = mode;
        let mut two = Two::cut(&plan, [role(), text("one two")].concat().as_bytes());
        two.relay.go_on(Seam::Prefill { tokens: 2, blank: String::new() });
        two.push([text(" three"), stop(), usage.into(), DONE.into()].concat().as_bytes());
        let (sent, relay) = two.end();
        let counted = relay.progress().usage.unwrap();
        assert_eq!((counted.prompt_tokens, counted.completion_tokens), (10, 5));
        assert_eq!(counted.total_tokens, 15);
        let told = "{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15,\"more\":1}";
        assert_eq!(sent.matches(told).count(), shown, "{sent}");
        assert_eq!(sent.matches("\"total_tokens\"").count(), shown, "{sent}");
    }
}

#[test]
fn only_plain_text_is_kept_to_go_on_with() {
    let kept = |events: &[String]| {
        let two = Two::cut(&plan(), events.concat().as_bytes());
        two.relay.said().unwrap().text().map(str::to_owned)
    };
    let reasoning = || event("\"delta\":{\"reasoning\":\"hm\"},\"finish_reason\":null");
    let call = event(
        "\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\
         \"arguments\":\"\"}}]},\"finish_reason\":null",
    );
    let refusal = event("\"delta\":{\"refusal\":\"no\"},\"finish_reason\":null");
    assert_eq!(kept(&[role()]), None);
    assert_eq!(kept(&[role(), text("a"), text("\\\"b")]).as_deref(), Some("a\"b"));
    assert_eq!(kept(&[reasoning()]), None);
    assert_eq!(kept(&[reasoning(), text("a")]).as_deref(), Some("a"));
    assert_eq!(kept(&[text("a"), reasoning()]), None);
    assert_eq!(kept(&[text("a"), call]), None);
    assert_eq!(kept(&[text("a"), refusal]), None);
    let long = text(&"x".repeat(100_000));
    assert_eq!(kept(&[long.clone(), long.clone()]).unwrap().len(), 200_000);
    assert_eq!(kept(&[long.clone(), long.clone(), long, text("a")]), None);
}
