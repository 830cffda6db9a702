//! Keys as a table for people.

use openapi::keys::Key;
use std::fmt;

pub(super) struct Table<'a>(pub(super) &'a [Key]);

const HEAD: [&str; 5] = ["ID", "NAME", "KEY", "LIMITS", "SCOPE"];

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![HEAD.map(str::to_owned)];
        rows.extend(self.0.iter().map(row));
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
        Ok(())
    }
}

fn row(key: &Key) -> [String; HEAD.len()] {
    let limits = [
        (key.limits.requests_per_minute, "requests/min"),
        (key.limits.tokens_per_minute, "tokens/min"),
        (key.limits.concurrent_streams, "streams"),
        (key.limits.choices_max, "choices"),
        (key.limits.hedges_max, "hedges"),
    ];
    let limits: Vec<String> = limits
        .iter()
        .filter_map(|(limit, unit)| limit.map(|limit| format!("{limit} {unit}")))
        .collect();
    let scope = [
        ("models", &key.scope.models),
        ("regions", &key.scope.regions),
        ("providers", &key.scope.providers),
    ];
    let scope: Vec<String> = scope
        .iter()
        .filter_map(|(name, list)| list.as_ref().map(|list| format!("{name} {}", list.join(","))))
        .collect();
    let or = |text: String, otherwise: &str| match text.is_empty() {
        true => otherwise.to_owned(),
        false => text,
    };
    [
        key.id.clone().unwrap_or_else(|| "(configuration)".to_owned()),
        key.name.clone(),
        key.hint.clone().unwrap_or_else(|| "-".to_owned()),
        or(limits.join(", "), "none"),
        or(scope.join("; "), "all"),
    ]
}
