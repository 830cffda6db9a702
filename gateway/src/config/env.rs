//! `$NAME` and `${NAME}` in string values; `$$` is a dollar sign. Done on the tree, after the TOML was
//! parsed, so that a variable's value can't add structure.

use toml::{Table, Value};

use super::problem::Problems;

pub(super) fn interpolate(
    table: &mut Table,
    env: &dyn Fn(&str) -> Option<String>,
    problems: &mut Problems,
) {
    for (key, value) in table.iter_mut() {
        walk(value, key, env, problems);
    }
}

fn walk(
    value: &mut Value,
    path: &str,
    env: &dyn Fn(&str) -> Option<String>,
    problems: &mut Problems,
) {
    match value {
        Value::String(text) if text.contains('$') => match expand(text, env) {
            Ok(expanded) => *text = expanded,
            Err(message) => problems.add(path, message),
        },
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, &format!("{path}[{index}]"), env, problems);
            }
        }
        Value::Table(table) => {
            for (key, item) in table.iter_mut() {
                walk(item, &format!("{path}.{key}"), env, problems);
            }
        }
        _ => {}
    }
}

fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
            continue;
        }
        let (name, tail) = match after.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or("${ without }")?,
            None => after.split_at(name_len(after)),
        };
        if name.is_empty() || name_len(name) != name.len() {
            return Err("$ is not followed by a variable's name; write $$ for a dollar sign".into());
        }
        out.push_str(&env(name).ok_or_else(|| format!("environment variable {name} is not set"))?);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

/// Bytes of the variable name at the start of `text`; 0 when there is none.
fn name_len(text: &str) -> usize {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let len = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    if starts { len } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "KEY" => Some("s3cret".to_owned()),
            "EMPTY" => Some(String::new()),
            "DOLLAR" => Some("$KEY".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn names_are_replaced_once() {
        for (text, expected) in [
            ("$KEY", "s3cret"),
            ("${KEY}", "s3cret"),
            ("a-$KEY-b", "a-s3cret-b"),
            ("${KEY}x$EMPTY", "s3cretx"),
            ("cost: 5$$", "cost: 5$"),
            ("$DOLLAR", "$KEY"),
            ("$$KEY", "$KEY"),
        ] {
            assert_eq!(expand(text, &env).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_set_variable_is_an_error() {
        assert!(expand("$NO_SUCH", &env).is_err_and(|e| e.contains("NO_SUCH")));
        for text in ["$", "$1", "${", "${}", "${KEY", "${a b}", "x$ y"] {
            assert!(expand(text, &env).is_err(), "{text}");
        }
    }
}
