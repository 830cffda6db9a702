//! The simulator: the same seed gives the same figures, and its lines have the names that are read.

use benches::sim::{Outcome, Scenario, Who, overload, scenario::Surge, simulate};

fn tiny() -> Scenario {
    Scenario { providers: 40, requests: 3_000, warm_up: 1_000, ..Scenario::default() }
}

fn of(who: Who, seed: u64) -> Outcome {
    simulate(&tiny(), who, seed)
}

#[test]
fn a_seed_decides_everything() {
    for who in Who::ALL {
        assert_eq!(of(who, 7), of(who, 7), "{}", who.name());
        assert_ne!(of(who, 7), of(who, 8), "{}", who.name());
    }
}

#[test]
fn a_line_has_the_names_that_are_read() {
    let line = serde_json::to_value(of(Who::Quorate, 1)).unwrap();
    let names: Vec<&String> = line.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "policy",
            "utilization",
            "providers",
            "p50_ttft_ms",
            "p99_ttft_ms",
            "success",
            "dishonest",
            "cost_per_1k",
            "extra_attempts",
            "wasted_spend",
        ]
    );
    assert_eq!(line["policy"], "quorate");
}

#[test]
fn even_a_tiny_market_tells_the_policies_apart() {
    let [random, ours] = [Who::ALL[0], Who::Quorate].map(|who| of(who, 3));
    assert!(ours.success > 0.99 && ours.success > random.success, "{ours:?} {random:?}");
    assert!(ours.p99_ttft_ms < random.p99_ttft_ms, "{ours:?} {random:?}");
}

#[test]
fn too_much_is_sent_away_and_what_is_taken_is_answered() {
    let surge = Surge { from_s: 60.0, until_s: 80.0, factor: 4.0 };
    let scenario = Scenario { surge: Some(surge), requests: 6_000, ..tiny() };
    let found = overload::measure(&scenario, 1).unwrap();
    assert!(found.shed > 0.2 && found.failed < 0.05, "{found:?}");
    assert!(found.goodput > 0.5, "{found:?}");
    assert_eq!(overload::measure(&tiny(), 1), None, "there is no surge in it");
}
