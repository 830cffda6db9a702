//! Policies in a header: `name=value` pairs between semicolons, for clients that cannot add members
//! to a body. Lists are separated by commas. A value that begins with a brace is JSON.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Error, TEXT_BYTES_MAX, object, wrong};

/// Members that are lists, so that a single entry needs no brackets.
const LISTS: [&str; 5] = ["order", "only", "ignore", "quantizations", "regions"];

/// Reads `text`; errors name the member at fault below `root`, the header's name.
pub(super) fn read<T: DeserializeOwned>(root: &str, text: &str) -> Result<T, Error> {
    if text.starts_with('{') {
        return object::read(root, text);
    }
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("Invalid '{root}': longer than {TEXT_BYTES_MAX} bytes.");
        return Err(Error::member(root, message));
    }
    let members = pairs(root, text)?;
    serde_path_to_error::deserialize(Value::Object(members))
        .map_err(|error| object::fault(root, &error))
}

fn pairs(root: &str, text: &str) -> Result<Map<String, Value>, Error> {
    let mut members = Map::new();
    for pair in text.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=') else {
            let message = format!("Invalid '{root}': expected 'name=value' pairs between ';'.");
            return Err(Error::member(root, message));
        };
        let (name, value) = (name.trim(), value.trim());
        let (target, last) = match name.split_once('.') {
            Some((outer, inner)) => {
                let nested = members.entry(outer).or_insert_with(|| Value::Object(Map::new()));
                let Value::Object(nested) = nested else { return Err(doubled(root, outer)) };
                (nested, inner)
            }
            None => (&mut members, name),
        };
        let value = typed(name, value);
        // An empty list would allow all, and is what a variable leaves that was not set.
        if value.as_array().is_some_and(Vec::is_empty) {
            return Err(wrong(root, name, "expected at least one name"));
        }
        if target.insert(last.to_owned(), value).is_some() {
            return Err(doubled(root, name));
        }
    }
    Ok(members)
}

fn typed(name: &str, value: &str) -> Value {
    if LISTS.contains(&name) {
        let entries = value.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        return entries.map(|entry| Value::String(entry.to_owned())).collect();
    }
    match value {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match value.parse::<serde_json::Number>() {
            Ok(number) => Value::Number(number),
            Err(_) => Value::String(value.to_owned()),
        },
    }
}

fn doubled(root: &str, name: &str) -> Error {
    let param = format!("{root}.{name}");
    let message = format!("Invalid '{root}': '{name}' is there twice.");
    Error::member(param, message)
}
