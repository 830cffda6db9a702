//! Evidence comments: taken out with their line end, their ids and provenance kept.

use openapi::usage::Usage;

use super::support::{DONE, plan, relay_all_ways, role, stop, text};

const PROVENANCE: &str = r#": q-provenance {"weights_id":"b3:1","quant":"f32","kv_dtype":"f32","engine":"scripted","template_sha256":"00","sampler":"gumbel-v1","seed":7,"prompt_ids_sha256":"11","usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;

#[test]
fn the_client_sees_a_stream_without_evidence() {
    let mut plan = plan();
    plan.evidence = true;
    let clean = format!("{}{}: ping\n\n{}{}{DONE}", role(), text("a"), text("b"), stop());
    for nl in ["\n", "\r\n", "\r"] {
        let clean = clean.replace('\n', nl);
        let marked = clean
            .replacen("data: {\"id\"", &format!(": q 12 7{nl}data: {{\"id\""), 2)
            .replacen(": ping", &format!(": q 9{nl}: ping"), 1)
            .replacen(
                "data: [DONE]",
                &format!(": q{nl}: q {nl}{PROVENANCE}{nl}{nl}: q 4{nl}{nl}data: [DONE]"),
                1,
            );
        let relayed = relay_all_ways(&plan, marked.as_bytes());
        assert_eq!(relayed.end, Ok(false));
        assert_eq!(relayed.text, clean);
        assert_eq!(relayed.progress.ids, [[12, 7, 12, 7, 9, 4]]);
        let provenance = relayed.progress.provenance.unwrap();
        assert_eq!((provenance.seed, provenance.usage), (7, Usage::new(3, 2)));
    }
}

#[test]
fn an_event_of_evidence_alone_vanishes() {
    let mut plan = plan();
    plan.evidence = true;
    let clean = format!("{}{}{DONE}", role(), stop());
    let marked = format!("{}: q 1\n\n: q 2\n\n{}{PROVENANCE}\n\n{DONE}", role(), stop());
    let relayed = relay_all_ways(&plan, marked.as_bytes());
    assert_eq!(relayed.text, clean);
    assert_eq!(relayed.progress.ids, [[1, 2]]);
}

#[test]
fn ids_go_with_their_choice_and_never_with_a_dropped_event() {
    let mut plan = plan();
    plan.evidence = true;
    plan.choices = 2;
    let other = text("b").replace("\"index\":0", "\"index\":1");
    let input = format!(
        "{}: q 1\n: q@1 2 3\n{other}: q 99\ndata: {{broken\n\n: q@2 5\n: q 1 x\n: q-provenance {{}}\n{}{DONE}",
        role(),
        stop(),
    );
    let relayed = relay_all_ways(&plan, input.as_bytes());
    assert_eq!(relayed.progress.ids, [vec![1], vec![2, 3]]);
    // The broken event, a choice nobody asked for, an id that is none, a provenance that is none.
    assert_eq!(relayed.progress.malformed, 4);
    assert!(!relayed.text.contains(": q"));
}

#[test]
fn ids_are_bounded() {
    let mut plan = plan();
    plan.evidence = true;
    plan.limits.ids_max = 3;
    let input = format!("{}: q 1 2\n\n: q 3 4\n{}", role(), text("x"));
    let relayed = relay_all_ways(&plan, input.as_bytes());
    assert_eq!(relayed.end, Err("the provider sent more than 3 token ids".into()));
}
