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
/// removals side by side would share theirs: at most one an object.
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

/// As [`remove`], for several members of one object, side by side or not.
pub(crate) fn remove_all(bytes: &[u8], members: &mut [Span], edits: &mut Edits) {
    members.sort_by_key(|member| member.start);
    let mut run: Option<Span> = None;
    for member in members.iter() {
        match &mut run {
            Some(run) if only_a_comma(bytes, run.end, member.start) => run.end = member.end,
            _ => {
                let done = run.replace(*member);
                edits.extend(done.map(|done| remove(bytes, done.start, done.end)));
            }
        }
    }
    edits.extend(run.map(|run| remove(bytes, run.start, run.end)));
}

fn only_a_comma(bytes: &[u8], start: usize, end: usize) -> bool {
    bytes.get(start..end).unwrap_or_default().iter().all(|byte| *byte == b',' || is_space(*byte))
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

    fn removed(text: &str) -> String {
        let key = text.find("\"x\"").unwrap();
        let end = text.find('9').unwrap() + 1;
        applied(text, remove(text.as_bytes(), key, end))
    }

    #[test]
    fn a_removed_member_takes_one_comma_along() {
        assert_eq!(removed(r#"{"x":9}"#), "{}");
        assert_eq!(removed(r#"{"x":9,"b":1}"#), r#"{"b":1}"#);
        assert_eq!(removed(r#"{"a":1,"x":9}"#), r#"{"a":1}"#);
        assert_eq!(removed(r#"{"a":1 , "x" : 9 , "b":1}"#), r#"{"a":1  , "b":1}"#);
        assert_eq!(removed(r#"{ "x": 9 , "b":1}"#), r#"{  "b":1}"#);
    }

    #[test]
    fn members_side_by_side_go_together() {
        let gone = |text: &str| {
            let mut members: Vec<Span> = text
                .match_indices("\"x\":9")
                .map(|(start, member)| Span { start, end: start + member.len() })
                .collect();
            members.reverse();
            let mut edits = Edits::new();
            remove_all(text.as_bytes(), &mut members, &mut edits);
            String::from_utf8(apply(text.as_bytes(), &mut edits)).unwrap()
        };
        assert_eq!(gone(r#"{"x":9,"x":9}"#), "{}");
        assert_eq!(gone(r#"{"x":9 , "x":9,"b":1}"#), r#"{"b":1}"#);
        assert_eq!(gone(r#"{"a":1,"x":9,"x":9,"b":1}"#), r#"{"a":1,"b":1}"#);
        assert_eq!(gone(r#"{"x":9,"a":1,"x":9}"#), r#"{"a":1}"#);
        assert_eq!(gone(r#"{"x":9,"a":1,"x":9,"x":9,"b":1}"#), r#"{"a":1,"b":1}"#);
        assert_eq!(gone(r#"{"a":1}"#), r#"{"a":1}"#);
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
