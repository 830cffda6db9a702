//! Reading a request and printing the upstream's body.

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gateway::request::{Dialect, Endpoint, Probe, Rewrite};
use std::hint::black_box;

fn body(prompt_bytes: usize) -> Bytes {
    let text = "All work and no play makes a dull prompt.\\n".repeat(prompt_bytes / 43 + 1);
    format!(
        "{{\"model\":\"gpt-4o-mini\",\"messages\":[{{\"role\":\"system\",\"content\":\"Be brief.\"}},\
         {{\"role\":\"user\",\"content\":\"{text}\"}}],\"temperature\":0.7,\"max_tokens\":64,\"stream\":true}}"
    )
    .into()
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("request");
    for size in [200, 16_384, 1_048_576] {
        let body = body(size);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(format!("probe/{size}"), |bencher| {
            bencher.iter(|| Probe::parse(black_box(&body), Endpoint::ChatCompletions).is_ok());
        });
        let Ok(probe) = Probe::parse(&body, Endpoint::ChatCompletions) else { continue };
        let summary = probe.into_summary();
        let rewrite = Rewrite {
            model: "qwen3-8b",
            stream: true,
            seed: Some(7),
            dialect: Dialect::default(),
            continuation: None,
        };
        group.bench_function(format!("rewrite/{size}"), |bencher| {
            bencher.iter(|| summary.upstream_body(black_box(&body), rewrite).len());
        });
    }
    group.finish();
}

criterion_group!(requests, benches);
criterion_main!(requests);
