//! How the provider was chosen, put into answers that asked for it: a member `quorate` of a whole answer
//! and of an error, and a chunk of its own before a stream's `[DONE]`.

use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame};
use openapi::explain::Quorate;
use serde::{Deserialize, Serialize};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::upstream::Explain;

/// `data: [DONE]` with its blank line is shorter.
const TAIL_BYTES: usize = 32;
const DONE: &[u8] = b"[DONE]";

/// A whole answer, or an error, with the member.
pub(super) fn whole(body: Bytes, explain: Option<&Arc<Explain>>) -> Bytes {
    let Some(explain) = explain else { return body };
    let end = body.iter().rposition(|byte| *byte == b'}');
    let Ok(text) = serde_json::to_string(&explain.so_far()) else { return body };
    let Some((head, tail)) = end.and_then(|end| body.split_at_checked(end)) else { return body };
    let mut out = BytesMut::with_capacity(body.len() + text.len() + 16);
    for part in [head, b",\"quorate\":", text.as_bytes(), tail] {
        out.extend_from_slice(part);
    }
    out.freeze()
}

/// An error with the member.
pub(super) fn error(response: http::Response<Bytes>, explain: Option<&Arc<Explain>>) -> Response {
    let mut response = response.map(|body| axum::body::Body::from(whole(body, explain)));
    response.headers_mut().remove(CONTENT_LENGTH);
    response
}

/// A stream with one more chunk. Its events come whole, as relayed streams' do.
pub(super) struct Explained<B> {
    inner: B,
    explain: Arc<Explain>,
    /// Of the first chunk.
    named: Option<Named>,
}

/// What all chunks of a stream have in common.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Named {
    id: String,
    object: String,
    created: i64,
    model: String,
}

#[derive(Serialize)]
struct Chunk<'a> {
    #[serde(flatten)]
    named: &'a Named,
    choices: [(); 0],
    quorate: Quorate,
}

// === impl Explained ===

impl<B> Explained<B> {
    pub(super) fn new(inner: B, explain: Arc<Explain>) -> Self {
        Self { inner, explain, named: None }
    }

    fn pass(&mut self, data: Bytes) -> Bytes {
        if self.named.is_none() {
            self.named = named(&data);
        }
        let Some(at) = done(&data) else { return data };
        let chunk = Chunk {
            named: self.named.get_or_insert_default(),
            choices: [],
            quorate: self.explain.so_far(),
        };
        let Ok(text) = serde_json::to_string(&chunk) else { return data };
        let Some((before, last)) = data.split_at_checked(at) else { return data };
        let mut out = BytesMut::with_capacity(data.len() + text.len() + 16);
        for part in [before, b"data: ", text.as_bytes(), b"\n\n", last] {
            out.extend_from_slice(part);
        }
        out.freeze()
    }
}

/// Where the event of the end begins, if these bytes end with it.
fn done(data: &Bytes) -> Option<usize> {
    let from = data.len().saturating_sub(TAIL_BYTES);
    let tail = data.get(from..)?;
    let at = tail.windows(DONE.len()).rposition(|window| window == DONE)?;
    let is_last = tail.get(at + DONE.len()..)?.iter().all(u8::is_ascii_whitespace);
    let line = tail.get(..at)?.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let is_event = tail.get(line..at)?.trim_ascii() == b"data:";
    (is_last && is_event).then_some(from + line)
}

fn named(data: &Bytes) -> Option<Named> {
    let mut lines = data.split(|byte| *byte == b'\n');
    lines.find_map(|line| serde_json::from_slice(line.strip_prefix(b"data:")?).ok())
}

impl<B: Body<Data = Bytes> + Unpin> Body for Explained<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(|data| self.pass(data)))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
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
            assert_eq!(done(&Bytes::from_static(text.as_bytes())), at, "{text:?}");
        }
    }

    #[test]
    fn a_whole_answer_keeps_all_it_had() {
        let explain = Arc::new(Explain::default());
        let body = whole(Bytes::from_static(b"{\"id\":\"x\", \"z\": {}}\n"), Some(&explain));
        let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(read["id"], "x");
        assert!(read["quorate"]["explain"]["candidates"].is_array(), "{read}");
        assert_eq!(whole(Bytes::from_static(b"{}"), None), "{}");
    }
}
