//! Finding the end of a stream in what is sent of it, for who has something to say before it. Of events that
//! come whole, as the relay hands them on.

/// `data: [DONE]` with its blank line is shorter.
const TAIL_BYTES: usize = 32;
const DONE: &[u8] = b"[DONE]";

/// Where the event of the end begins, if these bytes end with it.
pub fn end(data: &[u8]) -> Option<usize> {
    let from = data.len().saturating_sub(TAIL_BYTES);
    let tail = data.get(from..)?;
    let at = tail.windows(DONE.len()).rposition(|window| window == DONE)?;
    let is_last = tail.get(at + DONE.len()..)?.iter().all(u8::is_ascii_whitespace);
    let line = tail.get(..at)?.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let is_event = tail.get(line..at)?.trim_ascii() == b"data:";
    (is_last && is_event).then_some(from + line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_where_it_is() {
        for (text, at) in [
            ("data: [DONE]\n\n", Some(0)),
            ("data: {}\n\ndata: [DONE]\n\n", Some(10)),
            ("data: {}\r\n\r\ndata:[DONE]\r\n\r\n", Some(12)),
            ("data: {\"x\":\"data: [DONE]\"}\n\n", None),
            ("data: [DONE] no\n\n", None),
            (": [DONE]\n\n", None),
            ("", None),
        ] {
            assert_eq!(end(text.as_bytes()), at, "{text:?}");
        }
    }
}
