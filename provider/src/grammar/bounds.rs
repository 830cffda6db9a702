//! What a grammar's source may hold, counted before it is compiled. The compiler follows schemas and
//! their references by recursion, and takes regular expressions apart in time and memory that grow
//! with the square of their length: its own limits are looked at too late for both.

use serde_json::Value;
use std::collections::BTreeSet;

/// Of all regular expressions of one grammar: 4 KiB of the worst take half a second and 100 MiB.
pub(super) const PATTERN_BYTES_MAX: usize = 4096;
/// Schemas inside schemas, references followed. Each takes some kilobytes of stack.
pub(super) const LEVELS_MAX: usize = 2048;
/// For [`LEVELS_MAX`], and for what else recurses: an object's properties.
pub(super) const STACK_BYTES: usize = 128 << 20;

/// What was counted so far.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    pattern_bytes: usize,
}

// === impl Bounds ===

impl Bounds {
    pub(super) fn regex(&mut self, regex: &str) -> Result<(), String> {
        self.pattern_bytes = self.pattern_bytes.saturating_add(regex.len());
        if self.pattern_bytes > PATTERN_BYTES_MAX {
            return Err(format!("more than {PATTERN_BYTES_MAX} bytes of regular expressions"));
        }
        Ok(())
    }

    pub(super) fn schema(&mut self, schema: &Value) -> Result<(), String> {
        let mut references = BTreeSet::new();
        self.count(schema, &mut references)?;
        // The longest way without a circle goes through each reference's target once.
        let targets = references.iter().map(|reference| {
            let path = reference.strip_prefix('#').and_then(|path| schema.pointer(path));
            depth(path.unwrap_or(schema))
        });
        let levels = targets.fold(depth(schema), usize::saturating_add);
        if levels > LEVELS_MAX {
            return Err(format!(
                "its references may nest {levels} levels deep, at most {LEVELS_MAX}"
            ));
        }
        Ok(())
    }

    /// Recursion is bounded by the JSON parser, which read the value.
    fn count<'v>(
        &mut self,
        value: &'v Value,
        references: &mut BTreeSet<&'v str>,
    ) -> Result<(), String> {
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.count(item, references)),
            Value::Object(members) => members.iter().try_for_each(|(key, value)| {
                match (key.as_str(), value) {
                    ("$ref", Value::String(reference)) => {
                        references.insert(reference);
                    }
                    ("pattern" | "whitespace_pattern", Value::String(regex)) => {
                        self.regex(regex)?
                    }
                    ("patternProperties", Value::Object(patterns)) => {
                        patterns.keys().try_for_each(|regex| self.regex(regex))?;
                    }
                    _ => {}
                }
                self.count(value, references)
            }),
            _ => Ok(()),
        }
    }
}

fn depth(value: &Value) -> usize {
    let below = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(members) => members.values().map(depth).max(),
        _ => None,
    };
    below.map_or(1, |below| below.saturating_add(1))
}
