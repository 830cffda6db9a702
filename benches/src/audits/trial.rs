//! Runs of one scene, until its cheater is sent away or the requests are over, and what they come to.

use gateway::audit::Figures;
use gateway::audit::calibrate::{AUDITS_MIN, calibrate};
use gateway::audit::draw::Draw;
use gateway::audit::profile::{Key, Profiles};
use provider::engine::toy::Options;
use serde::Serialize;
use std::collections::BTreeMap;
use std::thread;

use super::cases::{Subject, machine, next_lower};
use super::gateway::{Gateway, figures};
use super::{Error, Kind, Node, Scene, request};

/// Honest ones in a market.
const SCORERS: u64 = 4;
/// Tokens after which a node breaks off.
const BREAK_AFTER: usize = 20;

/// Of all runs of a scene.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub cheater: &'static str,
    /// What its fails were for, the most common first.
    pub caught_by: Vec<String>,
    /// Share of runs in which it was sent away.
    pub detected: f64,
    /// Of those. A scorer's audits are what it was asked to score.
    pub audits_to_detect_mean: Option<f64>,
    pub requests_to_detect_mean: Option<f64>,
    /// Honest nodes sent away, writers and scorers.
    pub false_quarantines: u64,
    pub audits: u64,
    /// Of a calibrated profile: whether the next lower quantization can't be told apart.
    pub quant_undetectable: Option<bool>,
}

#[derive(Debug, Default)]
struct Run {
    found: Option<(u64, u64)>,
    fails: BTreeMap<&'static str, u64>,
    false_quarantines: u64,
    audits: u64,
}

/// As many runs as asked for, some at a time.
///
/// # Errors
/// The harness is at fault.
pub fn measure(scene: &Scene, runs: u64) -> Result<Row, Error> {
    let profiles = if scene.is_calibrated { calibrated()? } else { Profiles::default() };
    let lanes = thread::available_parallelism().map_or(1, usize::from) as u64;
    let lane = |lane: u64| -> Result<Vec<Run>, Error> {
        let own = (0..runs).filter(|number| number % lanes == lane);
        own.map(|number| run(scene, &profiles, number)).collect()
    };
    let done: Result<Vec<Vec<Run>>, Error> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes).map(|number| scope.spawn(move || lane(number))).collect();
        let join = |it: thread::ScopedJoinHandle<'_, _>| it.join().map_err(|_| "a run broke")?;
        lanes.into_iter().map(join).collect()
    });
    let undetectable = profiles.calibrated().next().and_then(|it| it.quant_undetectable);
    let runs: Vec<Run> = done?.into_iter().flatten().collect();
    Ok(row(scene, &runs, undetectable))
}

fn row(scene: &Scene, runs: &[Run], quant_undetectable: Option<bool>) -> Row {
    let found: Vec<(u64, u64)> = runs.iter().filter_map(|run| run.found).collect();
    let mean = |of: fn(&(u64, u64)) -> u64| {
        (!found.is_empty()).then(|| found.iter().map(of).sum::<u64>() as f64 / found.len() as f64)
    };
    let mut fails: BTreeMap<&str, u64> = BTreeMap::new();
    for (why, count) in runs.iter().flat_map(|run| &run.fails) {
        *fails.entry(*why).or_default() += count;
    }
    let mut caught_by: Vec<(&str, u64)> = fails.into_iter().collect();
    caught_by.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Row {
        cheater: scene.name,
        caught_by: caught_by.into_iter().map(|(why, _)| why.to_owned()).collect(),
        detected: found.len() as f64 / runs.len().max(1) as f64,
        audits_to_detect_mean: mean(|it| it.0),
        requests_to_detect_mean: mean(|it| it.1),
        false_quarantines: runs.iter().map(|run| run.false_quarantines).sum(),
        audits: runs.iter().map(|run| run.audits).sum(),
        quant_undetectable,
    }
}

fn run(scene: &Scene, profiles: &Profiles, number: u64) -> Result<Run, Error> {
    let name = |what: &str| format!("{what} {} {number}", scene.name);
    let mut nodes = vec![Node::new(name("writer"), scene.writer.clone())?];
    for scorer in 0..SCORERS {
        let options = match &scene.scorer {
            Some(planted) if scorer == 0 => planted.clone(),
            _ => machine(10 + scorer),
        };
        nodes.push(Node::new(name(&format!("scorer {scorer}")), options)?);
    }
    let all = scene.subject == Subject::Nobody;
    let mut gateway = Gateway::new(nodes, profiles.clone(), &name("secret"), all);
    let subject = usize::from(scene.subject == Subject::Scorer);
    for count in 0..scene.requests_max {
        let Some(writer) = gateway.nodes.first() else { break };
        let job =
            request(writer.model(), format!("{}-{number}-{count}", scene.name), count, scene.kind)?;
        let broken = gateway.nodes.last().filter(|_| scene.kind == Kind::Broken);
        let case = writer.write(&job, broken.map(|node| (node, BREAK_AFTER)))?;
        gateway.take(0, case)?;
        if gateway.books.get(subject).is_some_and(|book| book.is_out) {
            break;
        }
        if gateway.books.first().is_some_and(|book| book.is_out && scene.writer.cheat.is_some()) {
            gateway.replace(0, Node::new(name(&format!("writer {count}")), scene.writer.clone())?);
        }
    }
    Ok(told(scene, &gateway, subject))
}

fn told(scene: &Scene, gateway: &Gateway, subject: usize) -> Run {
    let mut run = Run::default();
    let requests = gateway.books.first().map_or(0, |book| book.before.0 + book.requests);
    run.audits = gateway.books.first().map_or(0, |book| book.before.1 + book.audits);
    for (at, book) in gateway.books.iter().enumerate() {
        let is_planted = match at {
            0 => scene.writer.cheat.is_some(),
            1 => scene.scorer.is_some(),
            _ => false,
        };
        run.false_quarantines += u64::from(book.is_out && !is_planted);
        if at == subject {
            run.fails.clone_from(&book.fails);
            let audits = if at == 0 { book.audits } else { book.scored };
            run.found = book.is_out.then_some((audits, requests));
        }
    }
    run
}

/// The profile of honest nodes, by the gateway's own calibration.
fn calibrated() -> Result<Profiles, Error> {
    let (key, honest) = calibration(&machine(1))?.ok_or("nothing to compare")?;
    let (_, lower) = calibration(&next_lower())?.ok_or("nothing to compare")?;
    let mut profiles = Profiles::default();
    profiles.set(calibrate(key, 1, &honest, &lower)?);
    Ok(profiles)
}

/// Half as many again as are needed, since some are short.
fn calibration(writer: &Options) -> Result<Option<(Key, Vec<Figures>)>, Error> {
    let (writer, scorer) =
        (Node::new("a".to_owned(), writer.clone())?, Node::new("b".to_owned(), machine(10))?);
    let draw = Draw::new(b"calibration");
    let mut all = Vec::new();
    let mut its = None;
    for number in 0..(AUDITS_MIN as u64 * 3 / 2) {
        let job = request(writer.model(), format!("calibration-{number}"), number, Kind::Chat)?;
        if let Some((key, figures)) = figures(&scorer, &writer.write(&job, None)?, &draw)? {
            its = Some(key);
            all.push(figures);
        }
    }
    Ok(its.map(|key| (key, all)))
}
