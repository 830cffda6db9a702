use ::gateway::audit::profile::{Band, Profiles, Thresholds};
use ::gateway::audit::{Figures, Reason, Verdict, judge};
use ::gateway::route::Random;
use provider::engine::toy::{Cheat, Options};

use super::*;

/// Honest audits; fewer where the compiler does not optimise.
const HONEST: u64 = if cfg!(debug_assertions) { 100 } else { 10_000 };

fn node(name: &str, cheat: Option<Cheat>) -> Node {
    let options = Options { cheat, noise: 0.03, machine: name.len() as u64, ..Options::default() };
    Node::new(name.to_owned(), options).unwrap()
}

fn long(number: u64) -> provider::engine::Job {
    request("toy", format!("r{number}"), 4 * number, Kind::Chat).unwrap()
}

/// What an honest scorer says of one answer.
fn audit(cheat: Option<Cheat>, number: u64) -> (Verdict, Figures) {
    let (writer, scorer) = (node("w", cheat), node("scorer", None));
    let case = writer.write(&long(number), None).unwrap();
    let scored = scorer.score(&case, case.tokens()).unwrap();
    let (answer, order) = (case.answer().unwrap(), case.order(case.tokens()));
    let random = &mut Random::new(number);
    let judged = judge(&answer, &order, &scored, &Profiles::default(), random).unwrap();
    (judged.verdict, judged.figures.unwrap())
}

#[test]
fn the_prefill_attack_is_caught_by_the_margin_and_never_by_the_distance() {
    for number in 0..10 {
        let (verdict, figures) = audit(Some(Cheat::Prefill), number);
        let table = Thresholds::SAME_ENGINE;
        assert_eq!(table.distance(&figures.sums), Band::Pass, "S1 alone lets it pass: {figures:?}");
        assert_eq!(table.zero(&figures.sums), Band::Fail, "{figures:?}");
        let Verdict::Fail(reasons) = verdict else { panic!("{verdict:?}") };
        assert!(reasons.contains(&Reason::Margin) && !reasons.contains(&Reason::Distance));
    }
}

#[test]
fn the_mean_likelihood_tells_hardly_anything() {
    let far = |cheat| {
        let sums = audit(cheat, 1).1.sums;
        let (claimed, scored) = sums.likelihoods().unwrap();
        (claimed - scored).abs()
    };
    assert!(
        far(None) < 0.05 && far(Some(Cheat::Q4)) < 0.2,
        "{} {}",
        far(None),
        far(Some(Cheat::Q4))
    );
}

#[test]
fn every_cheater_is_caught_by_what_is_there_to_catch_it() {
    let by = [
        ("wrong model", "S1", 6.0),
        ("pre-fill attack", "S3", 6.0),
        ("truncated", "S5", 6.0),
        ("canned", "S3", 12.0),
        ("dropped system prompt", "S6 prompt", 6.0),
        ("dropped, and hidden", "S1", 6.0),
        ("inflated count", "S6 count", 5.0),
        ("split tokens", "S3", 6.0),
        ("ids of another text", "S6 text", 6.0),
        ("forged logprobs", "S1", 6.0),
        ("ignores temperature", "S3", 40.0),
        ("ignores seed", "S3", 12.0),
    ];
    let scenes = scenes();
    for (name, by, audits) in by {
        let scene = scenes.iter().find(|scene| scene.name == name).unwrap();
        let row = measure(scene, 2).unwrap();
        assert_eq!((row.detected, row.false_quarantines), (1.0, 0), "{row:?}");
        assert!(row.caught_by.iter().any(|why| why == by), "{row:?}");
        assert!(row.audits_to_detect_mean.unwrap() <= audits, "{row:?}");
    }
}

#[test]
fn scorers_that_do_no_work_or_favour_friends_are_found() {
    let scenes = scenes();
    for name in ["lazy scorer, constant", "lazy scorer, random", "colluding scorer"] {
        let scene = scenes.iter().find(|scene| scene.name == name).unwrap();
        let row = measure(scene, 2).unwrap();
        assert_eq!((row.detected, row.false_quarantines), (1.0, 0), "{row:?}");
        assert!(row.audits_to_detect_mean.unwrap() <= 100.0, "{row:?}");
    }
}

#[test]
fn nobody_honest_is_sent_away() {
    let controls: Vec<Scene> =
        scenes().into_iter().filter(|scene| scene.name.starts_with("honest")).collect();
    let each = HONEST / controls.len() as u64;
    let mut audits = 0;
    for scene in controls {
        let runs = each.div_ceil(scene.requests_max).max(2);
        let scene = Scene { requests_max: each / runs, ..scene };
        let row = measure(&scene, runs).unwrap();
        assert_eq!(row.false_quarantines, 0, "{row:?}");
        audits += row.audits;
    }
    assert_eq!(audits, HONEST);
}
