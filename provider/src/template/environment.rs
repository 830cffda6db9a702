//! Jinja as Hugging Face sets it up: block trimming, Python's string and dict methods,
//! `raise_exception`, and `tojson` that prints like Python's `json.dumps`.

use minijinja::value::Kwargs;
use minijinja::{Environment, Error, ErrorKind, Value};
use serde_json::Value as Json;

/// Instructions a template may run: a loop over a few thousand messages needs far less.
const RECURSION_MAX: usize = 64;

pub(super) fn new() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_recursion_limit(RECURSION_MAX);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_filter("tojson", tojson);
    environment
}

fn tojson(value: &Value, kwargs: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = kwargs.get("indent")?;
    let sort: bool = kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    let ascii: bool = kwargs.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let separators: Option<Vec<String>> = kwargs.get("separators")?;
    kwargs.assert_all_used()?;
    let json = serde_json::to_value(value)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    let (item, key) = match separators.as_deref() {
        Some([item, key]) => (item.as_str(), key.as_str()),
        _ if indent.is_some() => (",", ": "),
        _ => (", ", ": "),
    };
    let mut out = String::new();
    Style { indent, sort, ascii, item, key }.write(&json, 0, &mut out);
    Ok(out)
}

struct Style<'a> {
    indent: Option<usize>,
    sort: bool,
    ascii: bool,
    item: &'a str,
    key: &'a str,
}

// === impl Style ===

impl Style<'_> {
    fn write(&self, value: &Json, depth: usize, out: &mut String) {
        match value {
            Json::String(text) => self.string(text, out),
            Json::Array(items) => {
                let items: Vec<_> = items.iter().map(|item| (None, item)).collect();
                self.list(('[', ']'), &items, depth, out);
            }
            Json::Object(members) => {
                let mut items: Vec<_> =
                    members.iter().map(|(k, v)| (Some(k.as_str()), v)).collect();
                if self.sort {
                    items.sort_by_key(|(key, _)| *key);
                }
                self.list(('{', '}'), &items, depth, out);
            }
            other => out.push_str(&other.to_string()),
        }
    }

    fn list(
        &self,
        (open, close): (char, char),
        items: &[(Option<&str>, &Json)],
        depth: usize,
        out: &mut String,
    ) {
        out.push(open);
        for (at, (key, value)) in items.iter().enumerate() {
            if at > 0 {
                out.push_str(self.item);
            }
            self.line(depth + 1, out);
            if let Some(key) = key {
                self.string(key, out);
                out.push_str(self.key);
            }
            self.write(value, depth + 1, out);
        }
        if !items.is_empty() {
            self.line(depth, out);
        }
        out.push(close);
    }

    fn line(&self, depth: usize, out: &mut String) {
        if let Some(indent) = self.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    }

    fn string(&self, text: &str, out: &mut String) {
        // serde_json escapes as Python does with ensure_ascii=False.
        let quoted = Json::from(text).to_string();
        if !self.ascii {
            out.push_str(&quoted);
            return;
        }
        for c in quoted.chars() {
            if c.is_ascii() {
                out.push(c);
            } else {
                let mut units = [0u16; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
}
