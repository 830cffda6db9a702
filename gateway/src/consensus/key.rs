//! By what two answers are the same: how they end, and what they say in its canonical form. Calls count by
//! name and arguments in any order, their ids not at all; JSON by its value; text by its characters (NFC)
//! with any white space as one space. Two answers with the same key are read as the same by any program.

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use unicode_normalization::UnicodeNormalization as _;

/// What an answer was asked to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    #[default]
    Text,
    /// `response_format` asks for an object or a schema.
    Json,
}

/// Of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Over the canonical form.
    pub canonical: [u8; 32],
    /// Over what it says, as it says it.
    pub exact: [u8; 32],
}

/// Of a whole answer with one choice, `chat.completion` or `text_completion`. `None`: it is none.
pub fn of(body: &[u8], form: Form) -> Option<Key> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let choice = answer.get("choices")?.get(0)?;
    let finish = choice.get("finish_reason").and_then(Value::as_str)?;
    let message = choice.get("message");
    let text = choice.get("text").or_else(|| message?.get("content")).and_then(Value::as_str);
    let refusal = message.and_then(|message| message.get("refusal")).and_then(Value::as_str);
    let mut calls = message.map(calls).unwrap_or_default();
    let text = match text {
        Some(text) => text.to_owned(),
        // Parts in the place of a text.
        None => message.and_then(|message| message.get("content")).map(value).unwrap_or_default(),
    };
    let (mut canonical, mut exact) = (Sha256::new(), Sha256::new());
    for hash in [&mut canonical, &mut exact] {
        part(hash, finish);
        part(hash, refusal.unwrap_or_default());
    }
    for (name, arguments) in &calls {
        part(&mut exact, name);
        part(&mut exact, arguments);
    }
    calls.iter_mut().for_each(|(_, arguments)| *arguments = json_or_text(arguments));
    calls.sort();
    part(&mut canonical, &calls.len().to_string());
    for (name, arguments) in &calls {
        part(&mut canonical, name);
        part(&mut canonical, arguments);
    }
    part(&mut exact, &text);
    match form {
        Form::Json => part(&mut canonical, &json_or_text(&text)),
        Form::Text => part(&mut canonical, &plain(&text)),
    }
    Some(Key { canonical: canonical.finalize().into(), exact: exact.finalize().into() })
}

/// Names and arguments, as they were said; of calls of another kind all but their ids.
fn calls(message: &Value) -> Vec<(String, String)> {
    let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    let named = |function: &Value| {
        let text = |name: &str| function.get(name).and_then(Value::as_str).map(str::to_owned);
        Some((text("name")?, text("arguments").unwrap_or_default()))
    };
    let of = |call: &Value| {
        call.get("function").and_then(named).unwrap_or_else(|| {
            let mut call = call.clone();
            call.as_object_mut().map(|members| members.remove("id"));
            (String::new(), value(&call))
        })
    };
    // The older form, of which there is one.
    let older = message.get("function_call").and_then(named);
    calls.map(of).chain(older).collect()
}

fn value(value: &Value) -> String {
    let mut out = String::new();
    if !value.is_null() {
        write(value, &mut out);
    }
    out
}

/// A part with its length: no two lists of parts are the same bytes.
fn part(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text.as_bytes());
}

fn json_or_text(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => {
            let mut out = String::from("j");
            write(&value, &mut out);
            out
        }
        Err(_) => format!("t{}", plain(text)),
    }
}

/// Members by name, numbers by their value. It has to be the same for the same value, and need not be
/// anybody else's canonical form.
fn write(value: &Value, out: &mut String) {
    match value {
        Value::Number(number) => out.push_str(&self::number(number)),
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            out.push('{');
            for (name, value) in members {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write(value, out);
                out.push(',');
            }
            out.push('}');
        }
        // White space in it may matter: it may be a program.
        Value::String(_) | Value::Null | Value::Bool(_) => out.push_str(&value.to_string()),
    }
}

/// `1`, `1.0` and `1e0` are one number.
fn number(number: &serde_json::Number) -> String {
    match number.as_f64() {
        // Beyond 2^53 whole numbers are compared as they are written.
        Some(value) if value.abs() < 9_007_199_254_740_992.0 && value.fract() == 0.0 => {
            format!("{value:.0}").replace("-0", "0")
        }
        _ => number.to_string(),
    }
}

fn plain(text: &str) -> String {
    let normal: String = text.nfc().collect();
    let mut out = String::with_capacity(normal.len());
    for word in normal.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(content: &str, finish: &str) -> Vec<u8> {
        let message = serde_json::json!({"role": "assistant", "content": content});
        let choice = serde_json::json!({"index": 0, "message": message, "finish_reason": finish});
        serde_json::json!({"id": "x", "choices": [choice]}).to_string().into_bytes()
    }

    fn calls(calls: &[(&str, &str, &str)]) -> Vec<u8> {
        let calls: Vec<Value> = calls
            .iter()
            .map(|(id, name, arguments)| {
                serde_json::json!({"id": id, "type": "function",
                    "function": {"name": name, "arguments": arguments}})
            })
            .collect();
        let message =
            serde_json::json!({"role": "assistant", "content": null, "tool_calls": calls});
        let choice =
            serde_json::json!({"index": 0, "message": message, "finish_reason": "tool_calls"});
        serde_json::json!({"choices": [choice]}).to_string().into_bytes()
    }

    fn canonical(body: &[u8], form: Form) -> [u8; 32] {
        of(body, form).unwrap().canonical
    }

    #[test]
    fn text_is_compared_by_its_characters() {
        let one = text("caf\u{e9}  is\nopen", "stop");
        let same = text(" cafe\u{301} is open ", "stop");
        assert_eq!(canonical(&one, Form::Text), canonical(&same, Form::Text));
        assert_ne!(of(&one, Form::Text).unwrap().exact, of(&same, Form::Text).unwrap().exact);
        for other in [text("cafe is open", "stop"), text("café is open", "length")] {
            assert_ne!(canonical(&one, Form::Text), canonical(&other, Form::Text));
        }
    }

    #[test]
    fn json_is_compared_by_its_value() {
        let one = text(r#"{"a": 1, "b": [true, 2.50]}"#, "stop");
        let same = text(r#"{"b":[true,2.5],"a":1.0}"#, "stop");
        assert_eq!(canonical(&one, Form::Json), canonical(&same, Form::Json));
        assert_ne!(canonical(&one, Form::Text), canonical(&same, Form::Text));
        let other = text(r#"{"b":[2.5,true],"a":1}"#, "stop");
        assert_ne!(canonical(&one, Form::Json), canonical(&other, Form::Json));
        let zero = |zero| canonical(&text(zero, "stop"), Form::Json);
        assert_eq!(zero("-0"), zero("0.0"));
        assert_ne!(zero("-10"), zero("10"));
        assert_ne!(zero("9007199254740993"), zero("9007199254740992"));
    }

    #[test]
    fn calls_are_compared_by_name_and_arguments_in_any_order() {
        let one = calls(&[("1", "get", r#"{"a":1,"b":2}"#), ("2", "put", "{}")]);
        let same = calls(&[("9", "put", "{ }"), ("8", "get", r#"{"b":2,"a":1}"#)]);
        assert_eq!(canonical(&one, Form::Text), canonical(&same, Form::Text));
        for other in [
            calls(&[("1", "get", r#"{"a":1,"b":2}"#)]),
            calls(&[("1", "get", r#"{"a":1,"b":3}"#), ("2", "put", "{}")]),
            calls(&[("1", "got", r#"{"a":1,"b":2}"#), ("2", "put", "{}")]),
            calls(&[("1", "get", r#"{"a":1,"b":2}"#), ("2", "put", "{}"), ("3", "put", "{}")]),
        ] {
            assert_ne!(canonical(&one, Form::Text), canonical(&other, Form::Text));
        }
    }

    #[test]
    fn no_kind_of_answer_is_passed_over() {
        let message = |message: &str| {
            format!(r#"{{"choices":[{{"message":{message},"finish_reason":"stop"}}]}}"#)
        };
        for (one, other) in [
            (
                r#"{"content":null,"function_call":{"name":"f","arguments":"{}"}}"#,
                r#"{"content":null,"function_call":{"name":"g","arguments":"{}"}}"#,
            ),
            (
                r#"{"tool_calls":[{"id":"1","type":"custom","custom":{"name":"f","input":"a"}}]}"#,
                r#"{"tool_calls":[{"id":"1","type":"custom","custom":{"name":"f","input":"b"}}]}"#,
            ),
            (
                r#"{"content":[{"type":"text","text":"a"}]}"#,
                r#"{"content":[{"type":"text","text":"b"}]}"#,
            ),
            (
                r#"{"tool_calls":[{"function":{"name":"run","arguments":"{\"code\":\"a\\n b\"}"}}]}"#,
                r#"{"tool_calls":[{"function":{"name":"run","arguments":"{\"code\":\"a b\"}"}}]}"#,
            ),
        ] {
            let key = |text: &str| canonical(message(text).as_bytes(), Form::Text);
            assert_ne!(key(one), key(other), "{one}");
            assert_eq!(key(one), key(&one.replace(r#""id":"1""#, r#""id":"2""#)), "{one}");
        }
    }

    #[test]
    fn what_is_no_answer_has_no_key() {
        for body in ["", "{}", r#"{"choices":[]}"#, r#"{"choices":[{"message":{}}]}"#] {
            assert_eq!(of(body.as_bytes(), Form::Text), None);
        }
    }
}
