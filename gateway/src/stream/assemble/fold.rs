//! Members nobody here knows, joined over the events of a stream: lists grow, anything else is
//! overwritten by what is not null. Names keep the order in which they first came.

use crate::json::{Fault, Lexer};

/// Names kept of one object; further ones are left out.
const MEMBERS_MAX: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Fold {
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    /// JSON text, quotes included.
    name: Vec<u8>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Null,
    One(Vec<u8>),
    /// The items, without the brackets.
    List(Vec<u8>),
}

// === impl Fold ===

impl Fold {
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Takes the members of the object in `json` but those named; returns how many bytes were kept.
    pub(crate) fn take_members(&mut self, json: &[u8], but: &[&[u8]]) -> u64 {
        // The text was read before: it is an object.
        self.try_members(json, but).unwrap_or(0)
    }

    fn try_members(&mut self, json: &[u8], but: &[&[u8]]) -> Result<u64, Fault> {
        let mut lexer = Lexer::new(json);
        lexer.space();
        lexer.open_object()?;
        let (mut first, mut kept) = (true, 0);
        while let Some(key) = lexer.member(&mut first)? {
            let value = lexer.skip()?;
            if !but.contains(&&*key.name(json)) {
                kept += self.take(key.quoted().of(json), value.of(json));
            }
        }
        Ok(kept)
    }

    fn take(&mut self, name: &[u8], value: &[u8]) -> u64 {
        let full = self.members.len() >= MEMBERS_MAX;
        let known = self.members.iter_mut().find(|member| member.name == name);
        let fresh = match value {
            b"null" => Value::Null,
            [b'[', items @ .., b']'] => Value::List(items.to_vec()),
            one => Value::One(one.to_vec()),
        };
        match (known, fresh) {
            (Some(_), Value::Null) => return 0,
            (Some(Member { value: Value::List(list), .. }), Value::List(items)) => {
                if items.trim_ascii().is_empty() {
                    return 0;
                }
                if list.trim_ascii().is_empty() {
                    list.clear();
                } else {
                    list.push(b',');
                }
                list.extend_from_slice(&items);
            }
            (Some(member), fresh) => member.value = fresh,
            (None, _) if full => return 0,
            (None, fresh) => {
                self.members.push(Member { name: name.to_vec(), value: fresh });
                return (name.len() + value.len()) as u64;
            }
        }
        value.len() as u64
    }

    /// Prints `"name":value` for each, each after a comma.
    pub(crate) fn print_after(&self, out: &mut Vec<u8>) {
        for member in &self.members {
            out.push(b',');
            member.print(out);
        }
    }

    /// Prints all of it as an object.
    pub(crate) fn print_object(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (number, member) in self.members.iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            member.print(out);
        }
        out.push(b'}');
    }
}

// === impl Member ===

impl Member {
    fn print(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.name);
        out.push(b':');
        match &self.value {
            Value::Null => out.extend_from_slice(b"null"),
            Value::One(text) => out.extend_from_slice(text),
            Value::List(items) => {
                out.push(b'[');
                out.extend_from_slice(items);
                out.push(b']');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_grow_and_values_give_way_to_what_is_not_null() {
        let mut fold = Fold::default();
        for json in [
            r#"{"a":null,"b":[1],"c":1e400,"x":0}"#,
            r#"{"b":[ 2 , 3 ],"a":"A","d":[]}"#,
            r#"{"a":null,"b":[],"d":[4],"c":2}"#,
        ] {
            fold.take_members(json.as_bytes(), &[b"x"]);
        }
        let mut out = Vec::new();
        fold.print_object(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a":"A","b":[1, 2 , 3 ],"c":2,"d":[4]}"#);
    }
}
