//! The one text of a JSON value (RFC 8785): members by name, no white space, the shortest escapes. It
//! takes only what has the same text everywhere: no member twice, no fraction, no integer beyond 2^53.

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt::{self, Write as _};

/// The largest integer that every reader of JSON reads exactly.
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Why a text has no canonical form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

/// Reads a text strictly.
///
/// # Errors
/// No JSON, a member twice, or a number that is no integer below 2^53.
pub fn read(text: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice::<Strict>(text)
        .map(|Strict(value)| value)
        .map_err(|error| Error(error.to_string()))
}

/// The text of a value.
///
/// # Errors
/// A number that is no integer below 2^53.
pub fn print(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    write(value, &mut out)?;
    Ok(out)
}

/// The text of what makes such a value.
///
/// # Errors
/// It makes none.
pub fn of(value: &impl serde::Serialize) -> Result<String, Error> {
    print(&serde_json::to_value(value).map_err(|error| Error(error.to_string()))?)
}

fn write(value: &Value, out: &mut String) -> Result<(), Error> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(bool) => out.push_str(if *bool { "true" } else { "false" }),
        Value::Number(number) => {
            let size = number.as_u64().or(number.as_i64().map(i64::unsigned_abs));
            if size.is_none_or(|size| size > INTEGER_MAX) {
                return Err(Error(format!("the number {number} is no integer below 2^53")));
            }
            let _ = write!(out, "{number}");
        }
        Value::String(text) => string(text, out)?,
        Value::Array(items) => {
            out.push('[');
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                write(item, out)?;
            }
            out.push(']');
        }
        Value::Object(members) => object(members, out)?,
    }
    Ok(())
}

fn object(members: &Map<String, Value>, out: &mut String) -> Result<(), Error> {
    let mut members: Vec<_> = members.iter().collect();
    // By UTF-16 units, as the RFC has it.
    members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
    out.push('{');
    for (number, (name, value)) in members.into_iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        string(name, out)?;
        out.push(':');
        write(value, out)?;
    }
    out.push('}');
    Ok(())
}

/// serde_json escapes exactly what the RFC does, and in its way.
fn string(text: &str, out: &mut String) -> Result<(), Error> {
    out.push_str(&serde_json::to_string(text).map_err(|error| Error(error.to_string()))?);
    Ok(())
}

/// A value in which no member stands twice: else two readers could read two things.
struct Strict(Value);

struct Reader;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without fractions")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, bool: bool) -> Result<Value, E> {
        Ok(Value::Bool(bool))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        Err(E::custom(format_args!("the number {number} is no integer below 2^53")))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            read.push(item);
        }
        Ok(Value::Array(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, Strict>()? {
            if read.insert(name.clone(), value).is_some() {
                return Err(de::Error::custom(format_args!("the member {name:?} stands twice")));
            }
        }
        Ok(Value::Object(read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Result<String, Error> {
        print(&read(text.as_bytes())?)
    }

    #[test]
    fn the_text_is_the_rfcs() {
        // RFC 8785, 3.2.3, without its numbers; and its order of names.
        let text = r#" { "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false] }"#;
        assert_eq!(
            canonical(text).unwrap(),
            "{\"literals\":[null,true,false],\"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
        );
        let names =
            r#"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#;
        let values: String =
            canonical(names).unwrap().chars().filter(char::is_ascii_digit).collect();
        // The name "1" is among the digits.
        assert_eq!(values, "21467153", "the RFC's order");
    }

    #[test]
    fn what_has_two_readings_is_refused() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":1,"\u0061":2}"#,
            "1.0",
            "1e3",
            "-0",
            "9007199254740992",
            "-9007199254740992",
            "[1] 2",
            r#""\ud800""#,
            "",
        ] {
            assert!(canonical(text).is_err(), "{text}");
        }
        assert_eq!(canonical("[9007199254740991, -5]").unwrap(), "[9007199254740991,-5]");
    }
}
