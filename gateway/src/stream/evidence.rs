//! Evidence comments: recognised and read without building anything but the ids.

use openapi::evidence::{PROVENANCE_PREFIX, Provenance};

/// What a comment line is.
#[derive(Debug, PartialEq)]
pub(crate) enum Comment<'a> {
    /// Of this choice; the ids, still as text.
    Ids(u32, &'a [u8]),
    Provenance(Box<Provenance>),
    /// Meant as evidence and not readable: not for the client either.
    Broken,
    Other,
}

/// Whether a comment line could be evidence at all.
#[inline]
pub(crate) fn suspect(line: &[u8]) -> bool {
    line.starts_with(b": q")
}

pub(crate) fn read(line: &[u8]) -> Comment<'_> {
    if let Some(json) = line.strip_prefix(PROVENANCE_PREFIX.as_bytes()) {
        return match serde_json::from_slice(json) {
            Ok(provenance) => Comment::Provenance(Box::new(provenance)),
            Err(_) => Comment::Broken,
        };
    }
    match line.strip_prefix(b": q") {
        // What the wire crate prints for no ids.
        Some([]) => Comment::Ids(0, &[]),
        Some([b' ', ids @ ..]) => Comment::Ids(0, ids),
        Some([b'@', tail @ ..]) => {
            let end = tail.iter().position(|&byte| byte == b' ').unwrap_or(tail.len());
            let (choice, ids) = tail.split_at(end);
            number(choice).map_or(Comment::Broken, |choice| Comment::Ids(choice, ids))
        }
        _ => Comment::Other,
    }
}

/// Appends the ids of a line; `false`, and nothing appended, where one is not a number.
pub(crate) fn append(ids: &[u8], to: &mut Vec<u32>) -> bool {
    let before = to.len();
    for word in ids.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        let Some(id) = number(word) else {
            to.truncate(before);
            return false;
        };
        to.push(id);
    }
    true
}

fn number(word: &[u8]) -> Option<u32> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0u32, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(u32::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use openapi::evidence::{ids_comment, parse_ids};

    fn ids(line: &str) -> Option<(u32, Vec<u32>)> {
        let Comment::Ids(choice, text) = read(line.as_bytes()) else { return None };
        let mut ids = Vec::new();
        append(text, &mut ids).then_some((choice, ids))
    }

    #[test]
    fn ids_read_as_the_wire_crate_reads_them() {
        for line in [
            ": q 12 7",
            ": q ",
            ": q  1  2 ",
            ": q 1 x",
            ": q 4294967295",
            ": q 4294967296",
            ": q@3 1 2",
            ": q@ 1",
            ": q@x 1",
            ": ping",
            ":q 1",
            ": quiet",
            ": q\t1",
            ": q -1",
            "",
            ":",
        ] {
            assert_eq!(ids(line), parse_ids(line), "{line:?}");
        }
        for choice in [0, 3] {
            assert_eq!(ids(&ids_comment(choice, &[])), Some((choice, Vec::new())));
        }
        let many: Vec<u32> = (0..1000).map(|i| i * 4_000_037).collect();
        assert_eq!(ids(&ids_comment(9, &many)), Some((9, many)));
    }

    #[test]
    fn a_broken_line_leaves_no_ids() {
        let mut to = vec![1];
        assert!(!append(b"2 3 x", &mut to));
        assert_eq!(to, [1]);
    }
}
