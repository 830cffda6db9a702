//! Single members replaced, removed and put in by their span, without reprinting the rest.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::json::Span;

/// `start..end` gives way to `text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) text: Bytes,
}

/// Edits that do not overlap, in any order.
pub(crate) type Edits = SmallVec<[Edit; 4]>;

pub(crate) fn replace(span: Span, text: Bytes) -> Edit {
    Edit { start: span.start, end: span.end, text }
}

/// Puts `member` (`"name":value`) in as the first of the object whose brace ends at `open`.
pub(crate) fn insert_first(bytes: &[u8], open: usize, member: &str) -> Edit {
    let rest = bytes.get(open..).unwrap_or_default();
    let empty = rest.iter().find(|byte| !is_space(**byte)) == Some(&b'}');
    let mut text = String::with_capacity(member.len() + 1);
    text.push_str(member);
    if !empty {
        text.push(',');
    }
    Edit { start: open, end: open, text: text.into() }
}

/// Takes out the member whose key starts at `key` and whose value ends at `end`, with one comma. Two
/// removals side by side would share theirs: see [`remove_all`].
pub(crate) fn remove(bytes: &[u8], key: usize, end: usize) -> Edit {
    let before = bytes.get(..key).unwrap_or_default();
    let text = Bytes::new();
    if let Some(comma) = before.iter().rposition(|byte| !is_space(*byte))
        && before.get(comma) == Some(&b',')
    {
        return Edit { start: comma, end, text };
    }
    let after = bytes.get(end..).unwrap_or_default();
    match after.iter().position(|byte| !is_space(*byte)) {
        Some(comma) if after.get(comma) == Some(&b',') => {
            Edit { start: key, end: end + comma + 1, text }
        }
        _ => Edit { start: key, end, text },
    }
}

/// Takes out members of one object, each from its key's quote to the end of its value, with one comma
/// each. `open` is right after the object's brace.
pub(crate) fn remove_all(bytes: &[u8], open: usize, members: &mut [Span], edits: &mut Edits) {
    members.sort_unstable_by_key(|member| member.start);
    // Up to here nothing is kept.
    let mut bare = open;
    for &Span { start, end } in members.iter() {
        let between = bytes.get(bare..start).unwrap_or_default();
        let is_first = between.iter().all(|byte| is_space(*byte));
        let edit = if is_first {
            let rest = bytes.get(end..).unwrap_or_default();
            let comma = rest.iter().position(|byte| !is_space(*byte));
            let comma = comma.filter(|at| rest.get(*at) == Some(&b','));
            let end = comma.map_or(end, |at| end + at + 1);
            bare = end;
            Edit { start, end, text: Bytes::new() }
        } else {
            let comma = between.iter().rposition(|byte| *byte == b',');
            Edit { start: comma.map_or(start, |at| bare + at), end, text: Bytes::new() }
        };
        edits.push(edit);
    }
}

/// Carries the edits out.
pub(crate) fn apply(bytes: &[u8], edits: &mut Edits) -> Vec<u8> {
    edits.sort_by_key(|edit| (edit.start, edit.end));
    let added: usize = edits.iter().map(|edit| edit.text.len()).sum();
    let mut out = Vec::with_capacity(bytes.len() + added);
    let mut at = 0;
    for edit in edits.iter() {
        out.extend_from_slice(bytes.get(at..edit.start).unwrap_or_default());
        out.extend_from_slice(&edit.text);
        at = edit.end;
    }
    out.extend_from_slice(bytes.get(at..).unwrap_or_default());
    out
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(text: &str, edit: Edit) -> String {
        let mut edits = Edits::new();
        edits.push(edit);
        String::from_utf8(apply(text.as_bytes(), &mut edits)).unwrap()
    }

    /// Without its members `x` and `y`, whose values are 9.
    fn removed(text: &str) -> String {
        let mut members = Vec::new();
        for key in ["\"x\"", "\"y\""] {
            if let Some(start) = text.find(key) {
                let end = start + text[start..].find('9').unwrap() + 1;
                members.insert(0, Span { start, end });
            }
        }
        let mut edits = Edits::new();
        remove_all(text.as_bytes(), 1, &mut members, &mut edits);
        String::from_utf8(apply(text.as_bytes(), &mut edits)).unwrap()
    }

    #[test]
    fn a_removed_member_takes_one_comma_along() {
        assert_eq!(removed(r#"{"x":9}"#), "{}");
        assert_eq!(removed(r#"{"x":9,"b":1}"#), r#"{"b":1}"#);
        assert_eq!(removed(r#"{"a":1,"x":9}"#), r#"{"a":1}"#);
        assert_eq!(removed(r#"{"a":1 , "x" : 9 , "b":1}"#), r#"{"a":1  , "b":1}"#);
        assert_eq!(removed(r#"{ "x": 9 , "b":1}"#), r#"{  "b":1}"#);
        assert_eq!(removed(r#"{"x":9,"y":9,"b":1}"#), r#"{"b":1}"#);
        assert_eq!(removed(r#"{"a":",","x":9,"y":9}"#), r#"{"a":","}"#);
        assert_eq!(removed(r#"{"y":9,"a":1,"x":9,"b":1}"#), r#"{"a":1,"b":1}"#);
        assert_eq!(removed(r#"{"x":9 , "y":9}"#), "{ }");
    }

    #[test]
    fn a_member_put_in_stands_first() {
        let put = |text: &str| applied(text, insert_first(text.as_bytes(), 1, "\"x\":9"));
        assert_eq!(put("{}"), r#"{"x":9}"#);
        assert_eq!(put("{ }"), r#"{"x":9 }"#);
        assert_eq!(put(r#"{"a":1}"#), r#"{"x":9,"a":1}"#);
    }

    #[test]
    fn edits_may_come_in_any_order() {
        let mut edits = Edits::new();
        edits.push(replace(Span { start: 3, end: 4 }, Bytes::from_static(b"D")));
        edits.push(replace(Span { start: 0, end: 1 }, Bytes::from_static(b"A!")));
        assert_eq!(apply(b"abcd", &mut edits), b"A!bcD");
    }
}
