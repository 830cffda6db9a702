//! Finding events, per event of about 250 bytes.

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gateway::stream::scan::{Item, Scanner};
use std::hint::black_box;

fn scan(pieces: &[Bytes]) -> usize {
    let mut scanner = Scanner::new(1 << 20);
    let mut bytes = 0;
    for piece in pieces {
        let mut at = 0;
        loop {
            match scanner.next(piece, &mut at) {
                Ok(Item::Whole(range)) => bytes += range.len(),
                Ok(Item::Joined(event)) => bytes += event.len(),
                Ok(Item::LineFeed(_)) => {}
                Ok(Item::Wanting) | Err(_) => break,
            }
        }
    }
    bytes
}

fn benches(criterion: &mut Criterion) {
    let events = benches::stream::events(false);
    let whole = vec![Bytes::from(events.concat())];
    let halves: Vec<Bytes> = whole
        .iter()
        .flat_map(|stream| {
            (0..stream.len())
                .step_by(100)
                .map(move |at| stream.slice(at..stream.len().min(at + 100)))
        })
        .collect();
    let mut group = criterion.benchmark_group("scan");
    group.throughput(Throughput::Elements(benches::stream::EVENTS));
    for (name, pieces) in
        [("event_a_chunk", &events), ("one_chunk", &whole), ("100_byte_chunks", &halves)]
    {
        group.bench_function(name, |bencher| bencher.iter(|| scan(black_box(pieces))));
    }
    group.finish();
}

criterion_group!(scanning, benches);
criterion_main!(scanning);
