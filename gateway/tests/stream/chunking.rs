//! Properties of the relay over streams nobody wrote by hand.

use bytes::Bytes;
use gateway::stream::UsageMode;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::sync::Arc;

use super::support::{DONE, plan, relay};

/// One event of a stream as providers send them, the odd ones included.
fn event() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        ".{0,6}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""\ud83d\ude00\n""#.to_owned()),
        Just("null".to_owned()),
        Just("[1]".to_owned()),
    ];
    let finish = prop_oneof![
        6 => Just("null"), 1 => Just("\"stop\""), 1 => Just("\"\""), 1 => Just("\"eos\""), 1 => Just("7"),
    ];
    let member = prop_oneof![
        Just("\"id\":\"a\","),
        Just("\"id\":\"b\","),
        Just("\"created\":5,"),
        Just("\"model\":\"x\","),
        Just("\"object\":\"chat.completion.chunk\","),
        Just("\"usage\":null,"),
        Just("\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1},"),
        Just("\"z\":[1e400, {}],"),
        Just(" \t"),
    ];
    let members = prop::collection::vec(member, 0..6).prop_map(|members| members.concat());
    let chunk = (members, text, finish, 0u32..3, any::<bool>()).prop_map(
        |(members, text, finish, index, tool)| {
            let delta = if tool {
                format!("\"tool_calls\":[{{\"id\":{text},\"function\":{{\"name\":\"f\",\"arguments\":{text}}}}}]")
            } else {
                format!("\"content\":{text}")
            };
            format!("data: {{{members}\"choices\":[{{\"index\":{index},\"delta\":{{{delta}}},\"finish_reason\":{finish}}}]}}\n\n")
        },
    );
    prop_oneof![
        8 => chunk,
        1 => Just(": ping\n\n".to_owned()),
        1 => Just(": q 1 2\n".to_owned()),
        1 => Just("id: 4\n".to_owned()),
        1 => Just("\n".to_owned()),
        1 => Just("data: {\"choices\":\ndata: []}\n\n".to_owned()),
        1 => Just("data: {oops\n\n".to_owned()),
        1 => Just("data: {\"id\":\"a\",\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n".to_owned()),
    ]
}

fn cut(input: &[u8], cuts: &[prop::sample::Index]) -> Vec<Bytes> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
    ends.sort_unstable();
    ends.push(input.len());
    let mut start = 0;
    ends.iter()
        .map(|end| Bytes::copy_from_slice(&input[std::mem::replace(&mut start, *end)..*end]))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, rng_seed: RngSeed::Fixed(5), ..Default::default() })]

    #[test]
    fn where_a_stream_is_cut_never_changes_the_output(
        events in prop::collection::vec(event(), 0..12),
        ends in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        done in any::<bool>(), strip in any::<bool>(), evidence in any::<bool>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let mut input = events.concat();
        if done { input.push_str(DONE); }
        let input = input.replace('\n', ends).into_bytes();
        let mut plan = plan();
        plan.choices = 2;
        plan.evidence = evidence;
        plan.usage = if strip { UsageMode::Strip } else { UsageMode::Pass };
        let whole = relay(&plan, vec![Bytes::from(input.clone())]);
        prop_assert_eq!(&relay(&plan, cut(&input, &cuts)), &whole);
        // What comes out is clean: relayed once more, nothing needs mending.
        if whole.end.is_ok() {
            prop_assert_eq!(&relay(&plan, vec![Bytes::from(whole.text.clone())]).text, &whole.text);
            prop_assert_eq!(whole.text.matches("[DONE]").count(), 1);
        }
    }

    #[test]
    fn unknown_members_survive_a_splice_in_order_with_their_number_text(
        names in prop::collection::vec("[a-z]{1,3}", 0..8),
        numbers in prop::collection::vec("-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?", 8),
        at in 0usize..9,
    ) {
        let mut members: Vec<String> = names.iter().zip(&numbers)
            .map(|(name, number)| format!("\"x_{name}\" : [{number} , \"\\u00e9\"]")).collect();
        members.insert(at.min(members.len()), "\"model\" :  \"theirs\"".to_owned());
        let event = format!(
            "data: {{\"id\":\"i\",\"object\":\"o\",\"created\":1,{},\"choices\":[{{\"index\":0,\"delta\":{{\"role\":\"assistant\"}},\"finish_reason\":\"stop\"}}]}}\n\n{DONE}",
            members.join(" , "),
        );
        let mut plan = plan();
        plan.model = Arc::from("ours");
        let relayed = relay(&plan, vec![Bytes::from(event.clone())]);
        prop_assert_eq!(relayed.text, event.replace("theirs", "ours"));
    }
}
