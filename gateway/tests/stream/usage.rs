//! Usage: always asked for upstream, shown to the client once and last, or not at all.

use gateway::stream::UsageMode;
use openapi::usage::Usage;

use super::support::{DONE, MODEL, plan, relay_all_ways, role, stop, text};

const USAGE: &str =
    r#"{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"cost":0.30000000000000004}"#;

fn with(event: &str, usage: &str) -> String {
    event.replace("}]}\n\n", &format!("}}],\"usage\":{usage}}}\n\n"))
}

fn alone(usage: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":7,\
         \"model\":\"{MODEL}\",\"choices\":[],\"usage\":{usage}}}\n\n"
    )
}

fn check(mode: UsageMode, given: &str, wanted: &str) {
    let mut plan = plan();
    plan.usage = mode;
    let relayed = relay_all_ways(&plan, given.as_bytes());
    assert_eq!(relayed.text, wanted, "{mode:?} {given}");
    assert_eq!(relayed.progress.usage, Some(Usage::new(3, 2)), "{given}");
    assert!(relayed.progress.done);
}

#[test]
fn on_a_chunk_of_its_own() {
    let given = format!("{}{}{}{DONE}", with(&role(), "null"), stop(), alone(USAGE));
    check(UsageMode::Pass, &given, &given);
    check(UsageMode::Strip, &given, &format!("{}{}{DONE}", with(&role(), "null"), stop()));
}

#[test]
fn on_the_last_chunk() {
    let given = format!("{}{}{DONE}", role(), with(&stop(), USAGE));
    let moved = format!("{}{}{}{DONE}", role(), with(&stop(), "null"), alone(USAGE));
    check(UsageMode::Pass, &given, &moved);
    check(UsageMode::Strip, &given, &format!("{}{}{DONE}", role(), stop()));
}

#[test]
fn on_every_chunk() {
    let early = USAGE.replace(":2,", ":1,");
    let given = format!(
        "{}{}{}{DONE}",
        with(&role(), &early),
        with(&text("a"), &early),
        with(&stop(), USAGE)
    );
    let moved = format!(
        "{}{}{}{}{DONE}",
        with(&role(), "null"),
        with(&text("a"), "null"),
        with(&stop(), "null"),
        alone(USAGE)
    );
    check(UsageMode::Pass, &given, &moved);
    check(UsageMode::Strip, &given, &format!("{}{}{}{DONE}", role(), text("a"), stop()));
}

#[test]
fn several_times_alone() {
    let early = USAGE.replace(":2,", ":1,");
    let given =
        format!("{}{}{}{}{}{DONE}", role(), alone(&early), stop(), alone(USAGE), alone(USAGE));
    check(UsageMode::Pass, &given, &format!("{}{}{}{DONE}", role(), stop(), alone(USAGE)));
    check(UsageMode::Strip, &given, &format!("{}{}{DONE}", role(), stop()));
}

#[test]
fn before_choices_and_twice() {
    let first = stop().replacen("{\"id\"", &format!("{{\"usage\":{USAGE},\"id\""), 1);
    check(
        UsageMode::Strip,
        &format!("{}{first}{DONE}", role()),
        &format!("{}{}{DONE}", role(), stop()),
    );
    let twice = with(&first, USAGE);
    let nulls = twice.replace(USAGE, "null");
    check(
        UsageMode::Strip,
        &format!("{}{twice}{DONE}", role()),
        &format!("{}{nulls}{DONE}", role()),
    );
}

#[test]
fn without_done() {
    let given = format!("{}{}", role(), with(&stop(), USAGE));
    let moved = format!("{}{}{}{DONE}", role(), with(&stop(), "null"), alone(USAGE));
    check(UsageMode::Pass, &given, &moved);
    check(UsageMode::Strip, &given, &format!("{}{}{DONE}", role(), stop()));
}

#[test]
fn on_a_chunk_without_choices() {
    let given = format!("{}{}data: {{\"usage\":{USAGE}}}\n\n{DONE}", role(), stop());
    check(UsageMode::Pass, &given, &format!("{}{}{}{DONE}", role(), stop(), alone(USAGE)));
    check(UsageMode::Strip, &given, &format!("{}{}{DONE}", role(), stop()));
}
