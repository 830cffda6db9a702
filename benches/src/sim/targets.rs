//! What the route is to reach at 0.6 of a thousand providers' capacity, and whether it does.

use std::fmt::Write as _;

use super::outcome::{Mean, Outcome};
use super::{Who, baselines::Rule};

/// Markdown; empty where the policies were not all measured.
pub fn markdown(rows: &[Mean]) -> String {
    let of = |who: Who| rows.iter().map(|row| &row.mean).find(|mean| mean.policy == who.name());
    let load_aware = || rows.iter().map(|row| &row.mean).filter(|mean| is_load_aware(mean));
    let (Some(ours), Some(prequal), Some(peak)) = (
        of(Who::Quorate),
        of(Who::Baseline(Rule::Prequal)),
        of(Who::Baseline(Rule::PeakEwma { draws: 8 })),
    ) else {
        return String::new();
    };
    let least = |value: fn(&Outcome) -> f64| load_aware().map(value).fold(f64::MAX, f64::min);
    let targets = [
        ("p99 TTFT / Prequal-like", ours.p99_ttft_ms / prequal.p99_ttft_ms, 0.4),
        ("p99 TTFT / Peak-EWMA d=8", ours.p99_ttft_ms / peak.p99_ttft_ms, 0.5),
        ("p50 TTFT / best baseline", ours.p50_ttft_ms / least(|o| o.p50_ttft_ms), 0.9),
        ("requests that failed", 1.0 - ours.success, 0.0005),
        ("dishonest answers", ours.dishonest, 0.01),
        (
            "dollars / cheapest load-aware baseline",
            ours.cost_per_1k / least(|o| o.cost_per_1k),
            1.1,
        ),
        ("extra attempts", ours.extra_attempts, 0.08),
        ("wasted dollars", ours.wasted_spend, 0.03),
    ];
    let mut text = String::from("| target | at most | measured | |\n|---|---|---|---|\n");
    for (name, most, measured) in targets.map(|(name, measured, most)| (name, most, measured)) {
        let verdict = if measured <= most { "met" } else { "MISSED" };
        let _ = writeln!(text, "| {name} | {most} | {measured:.4} | {verdict} |");
    }
    text
}

fn is_load_aware(outcome: &Outcome) -> bool {
    Who::ALL.iter().any(|who| who.is_load_aware() && who.name() == outcome.policy)
}
