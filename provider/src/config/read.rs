//! Takes members out of TOML tables one by one, so that all faults are found in one pass; what is
//! left over at the end is a member nobody knows.

use std::time::Duration;
use toml::{Table, Value};

const MILLIS_MAX: u64 = 86_400_000;

/// What is wrong so far.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<String>);

impl Faults {
    pub(super) fn add(&mut self, path: &str, what: impl std::fmt::Display) {
        self.0.push(format!("{path}: {what}"));
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.0
    }
}

/// A table and where it stands.
#[derive(Debug)]
pub(super) struct Section {
    path: String,
    table: Table,
}

impl Section {
    pub(super) fn root(table: Table) -> Self {
        Self { path: String::new(), table }
    }

    /// The path of a member.
    pub(super) fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A table below; empty where it is absent.
    pub(super) fn section(&mut self, key: &str, faults: &mut Faults) -> Self {
        let path = self.path(key);
        let table = match self.table.remove(key) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(_) => {
                faults.add(&path, "must be a table");
                Table::new()
            }
        };
        Self { path, table }
    }

    /// The same; `None` where it is absent.
    pub(super) fn table(&mut self, key: &str, faults: &mut Faults) -> Option<Self> {
        self.table.contains_key(key).then(|| self.section(key, faults))
    }

    /// An array of tables below; empty where it is absent.
    pub(super) fn sections(&mut self, key: &str, faults: &mut Faults) -> Vec<Self> {
        let path = self.path(key);
        let mut sections = Vec::new();
        match self.table.remove(key) {
            None => {}
            Some(Value::Array(values)) => {
                for (index, value) in values.into_iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    match value {
                        Value::Table(table) => sections.push(Self { path, table }),
                        _ => faults.add(&path, "must be a table"),
                    }
                }
            }
            Some(_) => faults.add(&path, "must be an array of tables"),
        }
        sections
    }

    /// A text; `$NAME` stands for an environment variable.
    pub(super) fn text(&mut self, key: &str, faults: &mut Faults) -> Option<String> {
        match self.table.remove(key)? {
            Value::String(text) => match text.strip_prefix('$') {
                None => Some(text),
                Some(name) => std::env::var(name).ok().or_else(|| {
                    faults.add(&self.path(key), format!("the variable {name} is not set"));
                    None
                }),
            },
            _ => {
                faults.add(&self.path(key), "must be a text");
                None
            }
        }
    }

    pub(super) fn flag(&mut self, key: &str, faults: &mut Faults) -> bool {
        match self.table.remove(key) {
            None => false,
            Some(Value::Boolean(flag)) => flag,
            Some(_) => {
                faults.add(&self.path(key), "must be true or false");
                false
            }
        }
    }

    /// A whole number in a range.
    pub(super) fn number(
        &mut self,
        key: &str,
        range: std::ops::RangeInclusive<u64>,
        faults: &mut Faults,
    ) -> Option<u64> {
        let number = self.table.remove(key)?.as_integer().and_then(|n| u64::try_from(n).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let what = format!("must be a whole number from {} to {}", range.start(), range.end());
            faults.add(&self.path(key), what);
        }
        number
    }

    /// A number in a range.
    pub(super) fn real(
        &mut self,
        key: &str,
        range: std::ops::RangeInclusive<f64>,
        faults: &mut Faults,
    ) -> Option<f64> {
        let number = match self.table.remove(key)? {
            Value::Float(number) => Some(number),
            Value::Integer(number) => number.to_string().parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let what = format!("must be a number from {} to {}", range.start(), range.end());
            faults.add(&self.path(key), what);
        }
        number
    }

    pub(super) fn count(
        &mut self,
        key: &str,
        min: u64,
        max: u64,
        absent: usize,
        faults: &mut Faults,
    ) -> usize {
        let number = self.number(key, min..=max, faults);
        number.and_then(|number| usize::try_from(number).ok()).unwrap_or(absent)
    }

    /// Milliseconds, at least one.
    pub(super) fn millis(&mut self, key: &str, absent: u64, faults: &mut Faults) -> Duration {
        Duration::from_millis(self.number(key, 1..=MILLIS_MAX, faults).unwrap_or(absent))
    }

    /// The rest of the table as it is.
    pub(super) fn into_rest(self) -> Table {
        self.table
    }

    /// Whatever was not taken is unknown.
    pub(super) fn finish(self, faults: &mut Faults) {
        for key in self.table.keys() {
            faults.add(&self.path(key), "unknown member");
        }
    }
}
