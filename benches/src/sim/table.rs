//! The outcomes side by side, as Markdown.

use std::fmt::Write as _;

use super::outcome::Mean;

/// One row for each policy of a scenario.
pub fn markdown(rows: &[Mean]) -> String {
    let mut text = String::from(
        "| policy | p50 TTFT | p99 TTFT (seeds) | success | dishonest | $/1k | extra attempts | wasted $ |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let Mean { mean, p99_ttft_ms: (least, most) } = row;
        let _ = writeln!(
            text,
            "| {} | {:.0} ms | {:.2} s ({:.1}–{:.1}) | {:.3} % | {:.2} % | {:.3} | {:.1} % | {:.1} % |",
            mean.policy,
            mean.p50_ttft_ms,
            mean.p99_ttft_ms / 1e3,
            least / 1e3,
            most / 1e3,
            mean.success * 1e2,
            mean.dishonest * 1e2,
            mean.cost_per_1k,
            mean.extra_attempts * 1e2,
            mean.wasted_spend * 1e2,
        );
    }
    text
}
