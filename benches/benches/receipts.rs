//! What a receipt costs an answer on its way out: the hash of a body, at once and in the small pieces of a
//! stream. `cargo bench -p benches --bench receipts`

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gateway::receipts::Hasher;
use std::hint::black_box;

const MIB: usize = 1024 * 1024;
/// About an event of a stream.
const PIECE_BYTES: usize = 100;

fn hashed(c: &mut Criterion) {
    let bytes: Vec<u8> = (0..MIB).map(|at| at.to_le_bytes()[0]).collect();
    let mut group = c.benchmark_group("receipt");
    group.throughput(Throughput::Bytes(MIB as u64));
    for (name, piece) in [("1 MiB at once", MIB), ("1 MiB in pieces of 100 bytes", PIECE_BYTES)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut hasher = Hasher::default();
                for piece in bytes.chunks(piece) {
                    hasher.update(black_box(piece));
                }
                hasher.finish()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, hashed);
criterion_main!(benches);
