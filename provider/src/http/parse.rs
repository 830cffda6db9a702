//! JSON in, with errors a person can act on: line and column for broken JSON, the member's path for
//! a wrong type.

use super::error::Error;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

/// Parses a whole body.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    if let Err(error) = std::str::from_utf8(body) {
        let message = format!("the body is not valid UTF-8 (byte {})", error.valid_up_to());
        return Err(Error::Invalid { message, param: None, code: None });
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        explain(&path, error.inner())
    })?;
    deserializer.end().map_err(|error| explain(".", &error))?;
    Ok(value)
}

fn explain(path: &str, error: &serde_json::Error) -> Error {
    let text = error.to_string();
    if error.classify() != Category::Data {
        return Error::Invalid {
            message: format!("invalid JSON: {text}"),
            param: None,
            code: None,
        };
    }
    // "invalid type: string "x", expected f64 at line 1 column 40": the position says little here.
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(head, _)| head);
    let path = if path == "." { "" } else { path };
    if let Some(member) = named(what, "missing field `") {
        let param = if path.is_empty() { member.to_owned() } else { format!("{path}.{member}") };
        return Error::invalid(param.clone(), format!("`{param}` is required"));
    }
    let member = named(what, "duplicate field `").unwrap_or(path);
    let message = match untagged(what) {
        Some(expected) => format!("`{member}` must be {expected}"),
        None if member.is_empty() => format!("the body is not a request: {what}"),
        None => format!("`{member}`: {what}"),
    };
    let param = (!member.is_empty()).then(|| member.to_owned());
    Error::Invalid { message, param, code: None }
}

fn named<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.strip_prefix(prefix)?.strip_suffix('`')
}

/// What the untagged enums of the request take, in words: serde only names the Rust type.
fn untagged(text: &str) -> Option<&'static str> {
    let name = text.strip_prefix("data did not match any variant of untagged enum ")?;
    match name {
        "Content" => Some("a string or an array of parts that each have a `type`"),
        "Stop" => Some("a string or an array of strings"),
        "ToolChoice" => Some("a string or an object"),
        "Input" => Some(
            "a string, an array of strings, an array of token ids, or an array of arrays of token ids",
        ),
        "Prompt" => Some("a string or an array of token ids"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openapi::chat::Request;

    fn error(body: &str) -> (String, Option<String>) {
        match json::<Request>(body.as_bytes()).unwrap_err() {
            Error::Invalid { message, param, .. } => (message, param),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn members_are_named() {
        let cases = [
            (r#"{"messages":[]}"#, "model"),
            (r#"{"model":1,"messages":[]}"#, "model"),
            (r#"{"model":"m","messages":{}}"#, "messages"),
            (r#"{"model":"m","messages":[{}]}"#, "messages[0].role"),
            (r#"{"model":"m","messages":[{"role":"user"},{"role":7}]}"#, "messages[1].role"),
            (r#"{"model":"m","messages":[{"role":"user","content":7}]}"#, "messages[0].content"),
            (r#"{"model":"m","messages":[],"temperature":"hot"}"#, "temperature"),
            (r#"{"model":"m","messages":[],"max_tokens":-1}"#, "max_tokens"),
            (r#"{"model":"m","messages":[],"n":1.5}"#, "n"),
            (r#"{"model":"m","messages":[],"stop":{}}"#, "stop"),
            (r#"{"model":"m","messages":[],"stream":"yes"}"#, "stream"),
            (r#"{"model":"a","model":"b","messages":[]}"#, "model"),
        ];
        for (body, param) in cases {
            let (message, found) = error(body);
            assert_eq!(found.as_deref(), Some(param), "{body}: {message}");
            assert!(message.contains(param), "{message}");
        }
    }

    #[test]
    fn broken_json_has_line_and_column() {
        for body in [
            "{",
            "{\"model\":\n NaN}",
            r#"{"model":"m","messages":[]}x"#,
            "\u{feff}{}",
            r#"{"model":"\ud800"}"#,
        ] {
            let (message, param) = error(body);
            assert_eq!(param, None, "{body}: {message}");
        }
        assert_eq!(
            error("{\"model\":\n nope}").0,
            "invalid JSON: expected ident at line 2 column 3"
        );
    }

    #[test]
    fn deep_nesting_and_bad_utf8_are_clean_errors() {
        let deep = format!(r#"{{"model":"m","messages":[],"x":{}}}"#, "[".repeat(5000));
        assert!(error(&deep).0.contains("recursion limit"), "{}", error(&deep).0);
        let error = json::<Request>(b"{\"model\":\"\xff\"}").unwrap_err();
        assert_eq!(error.to_string(), "the body is not valid UTF-8 (byte 10)");
    }
}
