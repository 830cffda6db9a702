//! The route's quality beside others', in a simulated market: `cargo run --release -p benches --bin
//! simulate -- --quick`. Without `--quick`: ten seeds, more utilisations, bursts, other lengths, more
//! liars; some ten minutes on two cores.

use std::error::Error;
use std::io::Write as _;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use benches::sim::{Mean, Scenario, fleet, overload, plot, table, targets};
use clap::Parser;

/// Chooses providers for simulated requests, by the gateway's own code and by others' rules.
#[derive(Debug, Parser)]
struct Args {
    /// The standard scenario only, with fewer requests and seeds: less than a minute.
    #[arg(long)]
    quick: bool,
    /// One JSON object a line, for each scenario and policy, instead of tables.
    #[arg(long)]
    json: bool,
    /// Markets and requests, each policy in all of them [default: 10; quick: 2].
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// The first seed; the others follow it.
    #[arg(long, value_name = "N", default_value_t = 1)]
    first_seed: u64,
    /// Only scenarios of this name.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Draws the time to the first token by utilisation.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let (mut scenarios, seeds) = match args.quick {
        true => (vec![Scenario::quick()], 2),
        false => (Scenario::all(), 10),
    };
    scenarios.retain(|scenario| args.only.as_ref().is_none_or(|name| scenario.name == name));
    let last = args.first_seed.saturating_add(args.seeds.unwrap_or(seeds).max(1) - 1);
    let seeds = args.first_seed..=last;
    let mut standard = Vec::new();
    for scenario in &scenarios {
        let rows = fleet::measure(scenario, &seeds);
        match args.json {
            true => lines(scenario, &rows)?,
            false => tables(scenario, &seeds, &rows)?,
        }
        if scenario.is_standard() {
            standard.extend(rows.into_iter().map(|row| row.mean));
        }
    }
    let overload = Scenario::overload();
    if !args.json && args.only.as_ref().is_none_or(|name| overload.name == name) {
        surge(&overload, seeds)?;
    }
    if let Some(path) = &args.plot {
        plot::svg(path, &standard)?;
    }
    Ok(())
}

fn lines(scenario: &Scenario, rows: &[Mean]) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for row in rows {
        let mut line = serde_json::to_value(&row.mean)?;
        if let Some(members) = line.as_object_mut().filter(|_| !scenario.is_standard()) {
            members.insert("scenario".to_owned(), scenario.name.into());
        }
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn tables(
    scenario: &Scenario,
    seeds: &RangeInclusive<u64>,
    rows: &[Mean],
) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "\n### {}: {} providers, utilisation {}, {} requests after {} of warm-up, seeds {} to {}\n\n{}",
        scenario.name,
        scenario.providers,
        scenario.utilization,
        scenario.requests - scenario.warm_up,
        scenario.warm_up,
        seeds.start(),
        seeds.end(),
        table::markdown(rows),
    )?;
    if *scenario == Scenario::default() || *scenario == Scenario::quick() {
        writeln!(out, "{}", targets::markdown(rows))?;
    }
    Ok(())
}

fn surge(scenario: &Scenario, seeds: RangeInclusive<u64>) -> Result<(), Box<dyn Error>> {
    let rows: Vec<_> = seeds.filter_map(|seed| overload::measure(scenario, seed)).collect();
    let text = overload::markdown(&rows);
    writeln!(
        std::io::stdout(),
        "\n### {}: twice the capacity for a minute\n\n{text}",
        scenario.name
    )?;
    Ok(())
}
