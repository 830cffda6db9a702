//! A minute of twice the load that all providers can bear: what is answered, what is sent away, and how
//! soon it is over.

use std::fmt::Write as _;

use super::Quorate;
use super::events::{Us, seconds, us};
use super::outcome::{End, Tally};
use super::run::Run;
use super::scenario::{Scenario, Surge};
use super::world::World;

/// Normal is by the minute before.
const BEFORE_S: f64 = 60.0;
const SLICE_S: f64 = 5.0;
/// Normal again: the 99th percentile within so many times the normal one, and hardly anybody sent away.
const NORMAL: f64 = 1.5;
const SENT_AWAY: f64 = 0.01;

/// Of one surge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overload {
    /// Answers that were whole during it, of what all providers together can give in that time.
    pub goodput: f64,
    /// Of the requests that came during it: answered, sent away with 429 and a time to come again, failed.
    pub answered: f64,
    pub shed: f64,
    pub failed: f64,
    /// First tokens of those answered.
    pub p99_ttft_s: f64,
    /// Before it.
    pub normal_p99_ttft_s: f64,
    /// Seconds from its end until all is as before; `None`: not in what was simulated.
    pub recovered_s: Option<f64>,
}

/// The gateway's own choice through the scenario; `None` where it has no surge.
pub fn measure(scenario: &Scenario, seed: u64) -> Option<Overload> {
    let surge = scenario.surge?;
    let world = World::new(scenario, seed);
    let capacity = world.rate / scenario.utilization;
    let policy = Quorate::new(&world, seed);
    let tally = Run::new(scenario, world, policy, seed).count();
    Some(Overload::of(&tally, &surge, capacity))
}

impl Overload {
    fn of(tally: &Tally, surge: &Surge, capacity: f64) -> Self {
        let (from, until) = (us(surge.from_s), us(surge.until_s));
        let within = |at: Us| (from..until).contains(&at);
        let ends = &tally.ends;
        let count = |is: &dyn Fn(&&End) -> bool| ends.iter().filter(is).count() as f64;
        let came = count(&|end| within(end.at));
        let whole = count(&|end| end.is_answered && within(end.over));
        let normal = slice(ends, from - us(BEFORE_S), from);
        Self {
            goodput: whole / (capacity * seconds(until - from)),
            answered: count(&|end| within(end.at) && end.is_answered) / came,
            shed: count(&|end| within(end.at) && end.is_shed) / came,
            failed: count(&|end| within(end.at) && !end.is_answered && !end.is_shed) / came,
            p99_ttft_s: slice(ends, from, until).0,
            normal_p99_ttft_s: normal.0,
            recovered_s: recovered(ends, until, normal.0),
        }
    }
}

/// The end of the last slice that is not normal, after the surge.
fn recovered(ends: &[End], until: Us, normal_s: f64) -> Option<f64> {
    let last = ends.iter().map(|end| end.at).max()?;
    let slices = (last - until) / us(SLICE_S);
    let is_bad = |number: &u64| {
        let from = until + number * us(SLICE_S);
        let (p99_s, sent_away) = slice(ends, from, from + us(SLICE_S));
        p99_s > NORMAL * normal_s || sent_away > SENT_AWAY
    };
    let bad = (0..slices).filter(is_bad).max().map_or(0, |number| number + 1);
    (bad < slices).then_some(bad as f64 * SLICE_S)
}

/// Of those that came within: the 99th percentile of the first tokens, and the share not answered.
fn slice(ends: &[End], from: Us, until: Us) -> (f64, f64) {
    let came = || ends.iter().filter(|end| (from..until).contains(&end.at));
    let mut firsts: Vec<Us> = came()
        .filter_map(|end| end.first.filter(|_| end.is_answered).map(|f| f - end.at))
        .collect();
    firsts.sort_unstable();
    let not_answered = came().filter(|end| !end.is_answered).count() as f64;
    let p99 = firsts.get(firsts.len() * 99 / 100).map_or(0.0, |first| seconds(*first));
    (p99, not_answered / came().count().max(1) as f64)
}

/// One row for each seed.
pub fn markdown(rows: &[Overload]) -> String {
    let mut text = String::from(
        "| goodput / capacity | answered | shed (429) | failed | p99 TTFT of the answered | before | normal after |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let recovered =
            row.recovered_s.map_or("never".to_owned(), |after_s| format!("{after_s:.0} s"));
        let _ = writeln!(
            text,
            "| {:.2} | {:.1} % | {:.1} % | {:.2} % | {:.1} s | {:.1} s | {recovered} |",
            row.goodput,
            row.answered * 1e2,
            row.shed * 1e2,
            row.failed * 1e2,
            row.p99_ttft_s,
            row.normal_p99_ttft_s,
        );
    }
    text
}
