//! Relaying and assembling a stream of 66 events; the throughput line gives the cost per event.

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use gateway::stream::{Assembler, Out, Plan, Relay};

fn relay(plan: Plan, pieces: Vec<Bytes>) -> usize {
    let (mut relay, mut out, mut bytes) = (Relay::new(plan), Out::default(), 0);
    for piece in pieces {
        if relay.push(piece, &mut out).is_err() {
            return 0;
        }
        while let Some(piece) = out.pop() {
            bytes += piece.len();
        }
    }
    bytes
}

fn assemble(plan: Plan, pieces: Vec<Bytes>) -> usize {
    let mut assembler = Assembler::new(plan);
    for piece in pieces {
        if assembler.push(piece).is_err() {
            return 0;
        }
    }
    assembler.finish().map_or(0, |answer| answer.body.len())
}

fn benches(criterion: &mut Criterion) {
    let model = benches::stream::MODEL;
    let plain = benches::stream::events(false);
    let marked = benches::stream::events(true);
    let whole = vec![Bytes::from(plain.concat())];
    let plan = |model: &str, evidence| benches::stream::plan(model, evidence);
    let cases = [
        ("pass", plan(model, false), &plain),
        ("pass_one_chunk", plan(model, false), &whole),
        ("evidence", plan(model, true), &marked),
        ("model_spliced", plan("gpt-4o-mini", false), &plain),
        ("evidence_and_model_spliced", plan("gpt-4o-mini", true), &marked),
    ];
    let mut group = criterion.benchmark_group("relay");
    group.throughput(Throughput::Elements(benches::stream::EVENTS));
    for (name, plan, pieces) in cases {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || (plan.clone(), pieces.clone()),
                |(plan, pieces)| relay(plan, pieces),
                BatchSize::SmallInput,
            );
        });
    }
    group.bench_function("assemble", |bencher| {
        bencher.iter_batched(
            || (plan(model, true), marked.clone()),
            |(plan, pieces)| assemble(plan, pieces),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(relaying, benches);
criterion_main!(relaying);
