//! Nodes as a table for people.

use openapi::node::Standing;
use openapi::nodes::{Node, NodeList, RegionStatus};
use std::fmt;

use crate::market::is_hidden;

pub(super) struct Table<'a>(pub(super) &'a NodeList);

const HEAD: [&str; 8] =
    ["NODE", "OPERATOR", "STANDING", "REGION", "HARDWARE", "PREFILL/DECODE", "RTT", "MODELS"];

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![HEAD.map(str::to_owned)];
        rows.extend(self.0.data.iter().map(row));
        let mut widths = [0; HEAD.len()];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in &rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        for ejected in &self.0.ejected {
            writeln!(f, "sent away: {} ({})", ejected.id, printable(&ejected.reason))?;
        }
        Ok(())
    }
}

fn row(node: &Node) -> [String; HEAD.len()] {
    let hardware = match node.hardware.gpus.as_slice() {
        [] => format!("{} ({} cores)", node.hardware.cpu, node.hardware.cores),
        [one] => one.clone(),
        [first, ..] => format!("{} x {first}", node.hardware.gpus.len()),
    };
    let measured = node.models.iter().find_map(|model| model.measured);
    let speed = |tps: Option<f64>| tps.map_or_else(|| "-".to_owned(), |tps| format!("{tps:.0}"));
    let speeds = measured.map_or_else(
        || "-".to_owned(),
        |measured| format!("{}/{} t/s", speed(measured.prefill_tps), speed(measured.decode_tps)),
    );
    let models: Vec<&str> = node.models.iter().filter_map(|model| model.name.as_deref()).collect();
    [
        node.provider.clone(),
        node.operator.clone(),
        standing(node.standing).to_owned(),
        region(node),
        hardware,
        speeds,
        node.rtt_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms")),
        models.join(","),
    ]
    .map(|cell| printable(&cell))
}

fn region(node: &Node) -> String {
    let Some(claimed) = &node.region else { return "-".to_owned() };
    let status = match node.region_status {
        Some(RegionStatus::Unconfirmed) => "unconfirmed",
        Some(RegionStatus::Refuted) => "refuted",
        Some(RegionStatus::Unknown) | None => "unknown",
    };
    format!("{claimed} ({status})")
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Probation => "probation",
        Standing::Active => "active",
        Standing::Draining => "draining",
        Standing::Ejected => "ejected",
        Standing::Gone => "gone",
    }
}

/// A node's words on somebody's terminal: nothing that moves the cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if is_hidden(c) { ' ' } else { c }).collect()
}
