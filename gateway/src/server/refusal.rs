//! A request head that hyper cannot read never reaches a handler: hyper answers it itself, with a
//! bare status. Here that answer is found among the bytes on their way out, so that ours can be sent
//! in its place. It knows nothing of what ours says.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{Response, StatusCode};

/// hyper's answer is a status line and up to three short headers.
const ANSWER_BYTES_MAX: usize = 256;
const HEAD_END: &[u8] = b"\r\n\r\n";
const START: &[u8] = b"HTTP/1.1 4";
const EMPTY: &[u8] = b"\r\ncontent-length: 0\r\n";
/// Every answer of a handler carries it.
const OURS: &[u8] = b"\r\nx-request-id: ";

/// Where in `out`, which no answer of ours is part of, hyper's own answer begins, and its status.
pub(super) fn find(out: &[u8]) -> Option<(usize, StatusCode)> {
    if !out.ends_with(HEAD_END) {
        return None;
    }
    let tail_at = out.len().saturating_sub(ANSWER_BYTES_MAX);
    let tail = out.get(tail_at..)?;
    let at = memchr::memmem::rfind(tail, START)?;
    let head = tail.get(at..)?;
    let is_one_head = memchr::memmem::find(head, HEAD_END) == Some(head.len() - HEAD_END.len());
    let has = |what| memchr::memmem::find(head, what).is_some();
    if !is_one_head || !has(EMPTY) || has(OURS) {
        return None;
    }
    let code = head.get(9..12)?;
    let status = StatusCode::from_bytes(code).ok()?;
    Some((tail_at + at, status))
}

/// An HTTP/1.1 answer after which the connection closes.
pub(super) fn print(answer: &Response<Bytes>) -> Bytes {
    let mut out = BytesMut::with_capacity(512 + answer.body().len());
    let status = answer.status();
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(status.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(status.canonical_reason().unwrap_or("Refused").as_bytes());
    out.put_slice(b"\r\n");
    for (name, value) in answer.headers() {
        out.put_slice(name.as_str().as_bytes());
        out.put_slice(b": ");
        out.put_slice(value.as_bytes());
        out.put_slice(b"\r\n");
    }
    out.put_slice(b"connection: close\r\ncontent-length: ");
    out.put_slice(answer.body().len().to_string().as_bytes());
    out.put_slice(HEAD_END);
    out.put_slice(answer.body());
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";

    #[test]
    fn only_a_bare_refusal_at_the_end_is_found() {
        let bare = format!(
            "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n{DATE}"
        );
        let before = "HTTP/1.1 200 OK\r\nx-request-id: a\r\ncontent-length: 2\r\n\r\nok";
        assert_eq!(find(bare.as_bytes()), Some((0, StatusCode::from_u16(431).unwrap())));
        let both = format!("{before}{bare}");
        assert_eq!(find(both.as_bytes()).map(|(at, _)| at), Some(before.len()));
        let ours =
            format!("HTTP/1.1 404 Not Found\r\nx-request-id: a\r\ncontent-length: 0\r\n{DATE}");
        let with_body = format!("HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n{DATE}");
        let good = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{DATE}");
        let cut = bare.get(..bare.len() - 1).unwrap();
        for other in [ours.as_str(), &with_body, &good, cut, before, "", "0\r\n\r\n"] {
            assert_eq!(find(other.as_bytes()), None, "{other}");
        }
    }
}
