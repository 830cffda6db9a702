//! Members nobody here knows survive, in both directions: in order, with their number text and their
//! escapes.

use bytes::Bytes;
use gateway::request::{Dialect, Endpoint, Probe, Rewrite};
use gateway::stream::{Assembler, Plan, plain};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::sync::Arc;

use super::support::{DONE, MODEL, plan, random_pieces, relay, stop};

/// JSON as text: numbers no float holds, escapes of all kinds, blanks where they may be.
fn json() -> impl Strategy<Value = String> {
    let number = "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,5})?";
    let piece = prop_oneof![
        "[ !#-\\[\\]-~]{1,6}",
        prop::sample::select(vec![
            "\\u00e9",
            "\\ud83d\\ude00",
            "\\ud800",
            "\\\"",
            "\\\\",
            "\\/",
            "\\n",
            "é",
            "世😀",
            "\u{2028}",
        ])
        .prop_map(str::to_owned),
    ];
    let string =
        prop::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()));
    let word = prop::sample::select(vec!["null", "true", "false", "[]", "{}", "\"\""]);
    let leaf = prop_oneof![number, string, word.prop_map(str::to_owned)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let named = ("[a-z]{0,3}", inner.clone());
        prop_oneof![
            (prop::collection::vec(inner, 0..4), " ?")
                .prop_map(|(items, blank)| format!("[{blank}{}{blank}]", items.join(","))),
            (prop::collection::vec(named, 0..4), " ?").prop_map(|(members, blank)| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| format!("\"{name}\"{blank}:{value}"))
                    .collect();
                format!("{{{}{blank}}}", members.join(","))
            }),
        ]
    })
}

/// `"x0…":value`, each with another name.
fn members() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(("([a-z]|\\\\u00e9|é|\\\\n){0,3}", json()), 0..5).prop_map(|members| {
        let numbered = members.iter().enumerate();
        numbered.map(|(at, (name, value))| format!("\"x{at}{name}\":{value}")).collect()
    })
}

/// The members after another one.
fn after(members: &[String]) -> String {
    members.iter().map(|member| format!(",{member}")).collect()
}

/// Every member stands in the text, one after the other.
fn stand_in_order(text: &str, members: &[String]) -> Result<(), TestCaseError> {
    let mut rest = text;
    for member in members {
        let Some((_, after)) = rest.split_once(&format!(",{member}")) else {
            return Err(TestCaseError::fail(format!("{member} in {text}")));
        };
        rest = after;
    }
    Ok(())
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 300, rng_seed: RngSeed::Fixed(31), ..Default::default() }
}

/// A chunk or a whole answer with members of its own at three depths.
fn answer(object: &str, body: &str, finish: &str, members: [&[String]; 3]) -> String {
    let [top, choice, inner] = members.map(after);
    format!(
        "{{\"id\":\"chatcmpl-1\",\"object\":\"{object}\",\"created\":7,\"model\":\"{MODEL}\",\
         \"choices\":[{{\"index\":0,\"{body}\":{{\"role\":\"assistant\",\"content\":\"hi\"{inner}}},\
         \"finish_reason\":{finish}{choice}}}]{top}}}"
    )
}

fn renamed() -> Plan {
    Plan { model: Arc::from("another/name"), ..plan() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn on_the_way_to_the_provider(
        mut members in members(),
        at in any::<prop::sample::Index>(),
        message in members(),
        stream in any::<bool>(),
    ) {
        let messages =
            format!("\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"{}}}]", after(&message));
        members.insert(at.index(members.len() + 1), "\"model\": \"theirs\"".to_owned());
        members.push(format!("\"stream\":{stream}"));
        let body = Bytes::from(format!("{{{},{messages} }}", members.join(" , ")));
        let facts = Probe::parse(&body, Endpoint::ChatCompletions).unwrap().into_summary();
        let out = facts.upstream_body(&body, Rewrite { model: "ours", stream: true, seed: None, dialect: Dialect::default(), continuation: None });
        // Taking back what was put in gives back every byte.
        let back = String::from_utf8(out.to_vec()).unwrap()
            .replacen("\"stream_options\":{\"include_usage\":true},", "", 1)
            .replacen("\"stream\":true", &format!("\"stream\":{stream}"), 1)
            .replacen("\"model\": \"ours\"", "\"model\": \"theirs\"", 1);
        prop_assert_eq!(back.as_bytes(), &body[..]);
    }

    #[test]
    fn in_a_stream(top in members(), choice in members(), inner in members(), cut in 0u64..6) {
        let chunk = answer("chat.completion.chunk", "delta", "null", [&top, &choice, &inner]);
        let input = format!("data: {chunk}\n\n{}{DONE}", stop());
        let pieces = random_pieces(input.as_bytes(), cut);
        prop_assert_eq!(&relay(&plan(), pieces.clone()).text, &input);
        let wanted = input.replace(&format!("\"model\":\"{MODEL}\""), "\"model\":\"another/name\"");
        prop_assert_eq!(relay(&renamed(), pieces).text, wanted);
    }

    #[test]
    fn in_a_whole_answer(top in members(), choice in members(), inner in members()) {
        let body = answer("chat.completion", "message", "\"stop\"", [&top, &choice, &inner]);
        let body = Bytes::from(body);
        prop_assert_eq!(&plain(body.clone(), &plan()).unwrap().body, &body);
        let wanted = String::from_utf8(body.to_vec()).unwrap()
            .replace(&format!("\"model\":\"{MODEL}\""), "\"model\":\"another/name\"");
        prop_assert_eq!(plain(body, &renamed()).unwrap().body, wanted.as_bytes());
    }

    #[test]
    fn in_an_answer_put_together(top in members(), choice in members(), inner in members()) {
        let chunk = answer("chat.completion.chunk", "delta", "null", [&top, &choice, &inner]);
        let mut assembler = Assembler::new(plan());
        assembler.push(Bytes::from(format!("data: {chunk}\n\n{}{DONE}", stop()))).unwrap();
        let body = assembler.finish().unwrap().body;
        let text = std::str::from_utf8(&body).unwrap();
        for members in [&top, &choice, &inner] {
            stand_in_order(text, members)?;
        }
    }
}
