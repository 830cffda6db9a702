//! Planted cheaters and honest controls under audits: `cargo run --release -p benches --bin cheaters`. One
//! row each; the same table every time.

use std::error::Error;
use std::io::Write as _;

use benches::audits::{Row, measure, scenes};
use clap::Parser;

/// Measures how long cheaters last under the gateway's own audits.
#[derive(Debug, Parser)]
struct Args {
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Runs of each row.
    #[arg(long, value_name = "N", default_value_t = 10)]
    runs: u64,
    /// Only rows whose name has this in it.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let mut out = std::io::stdout().lock();
    if !args.json {
        writeln!(
            out,
            "| cheater | caught by | sent away | audits | requests | honest sent away |"
        )?;
        writeln!(out, "|---|---|--:|--:|--:|--:|")?;
    }
    let wanted = |name: &str| args.only.as_ref().is_none_or(|only| name.contains(only));
    for scene in scenes().iter().filter(|scene| wanted(scene.name)) {
        let row = measure(scene, args.runs.max(1)).map_err(|error| error.to_string())?;
        match args.json {
            true => writeln!(out, "{}", serde_json::to_string(&row)?)?,
            false => writeln!(out, "{}", line(&row))?,
        }
    }
    Ok(())
}

fn line(row: &Row) -> String {
    let mean = |mean: Option<f64>| mean.map_or("–".to_owned(), |mean| format!("{mean:.1}"));
    let (audits, requests) = (mean(row.audits_to_detect_mean), mean(row.requests_to_detect_mean));
    let note = match row.quant_undetectable {
        Some(true) => " (profile: next lower quantization undetectable)",
        _ => "",
    };
    let caught_by = row.caught_by.join(", ");
    let (cheater, detected) = (row.cheater, row.detected * 100.0);
    let honest = row.false_quarantines;
    format!(
        "| {cheater}{note} | {caught_by} | {detected:.0} % | {audits} | {requests} | {honest} of {} audits |",
        row.audits
    )
}
