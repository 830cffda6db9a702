//! Heap allocations of the hot path, counted and held to a ceiling: per stream, none per event.
#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of #[test] functions")]

use allocation_counter::measure;
use benches::stream::{MODEL, events, plan};
use bytes::Bytes;
use gateway::request::{Dialect, Endpoint, Probe, Rewrite};
use gateway::stream::{Assembler, Out, Plan, Relay};

/// Hyper's chunks are slices of a shared buffer.
fn shared(pieces: &[Bytes]) -> Vec<Bytes> {
    let mut rest = Bytes::from(pieces.concat());
    pieces.iter().map(|piece| rest.split_to(piece.len())).collect()
}

fn relay(plan: Plan, pieces: Vec<Bytes>) -> u64 {
    measure(|| {
        let (mut relay, mut out) = (Relay::new(plan), Out::default());
        for piece in pieces {
            relay.push(piece, &mut out).unwrap();
            while out.pop().is_some() {}
        }
        relay.finish(&mut out).unwrap();
    })
    .count_total
}

#[test]
fn a_relayed_stream_allocates_at_its_start_only() {
    let counted = relay(plan(MODEL, false), shared(&events(false)));
    println!("pass: {counted} allocations a stream of 66 events");
    assert!(counted <= 12, "{counted}");
}

#[test]
fn evidence_costs_the_list_of_ids() {
    let counted = relay(plan(MODEL, true), shared(&events(true)));
    println!("evidence: {counted} allocations a stream of 66 events");
    assert!(counted <= 18, "{counted}");
}

#[test]
fn a_spliced_stream_reuses_one_buffer() {
    let counted = relay(plan("gpt-4o-mini", true), shared(&events(true)));
    println!("spliced: {counted} allocations a stream of 66 events");
    assert!(counted <= 24, "{counted}");
}

#[test]
fn an_assembled_answer_grows_a_few_buffers() {
    let (plan, pieces) = (plan(MODEL, true), shared(&events(true)));
    let counted = measure(|| {
        let mut assembler = Assembler::new(plan);
        for piece in pieces {
            assembler.push(piece).unwrap();
        }
        assert!(!assembler.finish().unwrap().body.is_empty());
    })
    .count_total;
    println!("assemble: {counted} allocations an answer of 66 events");
    assert!(counted <= 36, "{counted}");
}

#[test]
fn a_request_is_read_without_building_anything() {
    let body = Bytes::from(
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true,"x":{"y":[1,2]}}"#,
    );
    let mut summary = None;
    let read = measure(|| {
        summary = Probe::parse(&body, Endpoint::ChatCompletions).ok().map(Probe::into_summary);
    })
    .count_total;
    let summary = summary.unwrap();
    let rewrite = Rewrite {
        model: "up",
        stream: true,
        seed: Some(1),
        dialect: Dialect::default(),
        continuation: None,
    };
    let written = measure(|| drop(summary.upstream_body(&body, rewrite))).count_total;
    println!("request: {read} allocations to read, {written} to rewrite");
    // The model's name; then three splices and the body.
    assert!(read <= 1 && written <= 10, "{read} {written}");
}
