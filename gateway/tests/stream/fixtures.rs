//! Byte equality: where nothing is spliced, bytes in are bytes out, however they are cut.

use bytes::Bytes;
use gateway::stream::{Out, Relay};
use std::path::PathBuf;

use super::support::{plan, relay_all_ways};

fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sse"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    found.sort();
    found
}

/// Where every rule is kept already: nothing is spliced.
fn unchanged() -> Vec<(String, Vec<u8>)> {
    let mended = |name: &str| name == "reasoning" || name == "reasoning_content";
    fixtures().into_iter().filter(|(name, _)| !mended(name)).collect()
}

fn choices(name: &str) -> u32 {
    if name == "two_choices" { 2 } else { 1 }
}

#[test]
fn bytes_in_are_bytes_out() {
    let fixtures = unchanged();
    assert!(fixtures.len() >= 20);
    for (name, input) in fixtures {
        let mut plan = plan();
        plan.choices = choices(&name);
        let relayed = relay_all_ways(&plan, &input);
        assert_eq!(relayed.text.as_bytes(), input, "{name}");
        assert_eq!(relayed.end, Ok(false), "{name}");
        let progress = relayed.progress;
        assert!(progress.done && progress.finished && progress.content_seen, "{name}");
        assert_eq!(progress.malformed, 0, "{name}");
        assert!(progress.identity.is_some(), "{name}");
    }
}

#[test]
fn a_chunk_that_passes_whole_is_handed_on_as_it_came() {
    for (name, input) in unchanged() {
        let mut plan = plan();
        plan.choices = choices(&name);
        let (mut relay, mut out) = (Relay::new(plan), Out::default());
        let chunk = Bytes::from(input);
        relay.push(chunk.clone(), &mut out).unwrap();
        assert_eq!(out.pieces(), 1, "{name}");
        let piece = out.pop().unwrap();
        assert_eq!((piece.as_ptr(), piece.len()), (chunk.as_ptr(), chunk.len()), "{name}");
    }
}

#[test]
fn reasoning_gets_its_other_name_and_nothing_else_changes() {
    for (given, added) in [("reasoning", "reasoning_content"), ("reasoning_content", "reasoning")] {
        let (_, input) = fixtures().into_iter().find(|(name, _)| name == given).unwrap();
        let mut text = relay_all_ways(&plan(), &input).text;
        for piece in ["Let me", " think."] {
            let twin = format!(",\"{added}\":\"{piece}\"");
            assert_eq!(text.matches(&twin).count(), 1, "{text}");
            text = text.replace(&twin, "");
        }
        assert_eq!(text.as_bytes(), input);
    }
}

#[test]
fn text_bytes_are_those_of_the_decoded_text() {
    let of = |name: &str| {
        let (_, input) = fixtures().into_iter().find(|(found, _)| found == name).unwrap();
        relay_all_ways(&plan(), &input).progress.text_bytes
    };
    assert_eq!(of("openai_plain"), 12);
    assert_eq!(of("utf8"), "Grüße, 世界 👩‍👩‍👧‍👦🏳️‍🌈e\u{301} \u{2028} \u{200b} \u{feff}".len() as u64);
    assert_eq!(of("unicode_escapes"), "é世😀\"\\/\u{8}\u{c}\n\r\t\0".len() as u64 + 3 + 3 + 5);
    assert_eq!(of("tool_call"), "{\"city\":\"Bern\"}".len() as u64);
    assert_eq!(of("reasoning"), "Let me think.Four.".len() as u64);
    assert_eq!(of("legacy_completion"), "Once upon".len() as u64);
}
