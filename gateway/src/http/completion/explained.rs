//! How the provider was chosen, and what became of a verification, put into answers that asked for it: a
//! member `quorate` of a whole answer and of an error, and a chunk of its own before a stream's `[DONE]`.

use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame};
use openapi::explain::Quorate;
use serde::{Deserialize, Serialize};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::stream;
use crate::upstream::{Explain, Job, Verdict};

/// A whole answer, or an error, with the member.
pub(super) fn whole(body: Bytes, told: Option<&Told>) -> Bytes {
    let Some(told) = told else { return body };
    let end = body.iter().rposition(|byte| *byte == b'}');
    let Ok(text) = serde_json::to_string(&told.so_far()) else { return body };
    let Some((head, tail)) = end.and_then(|end| body.split_at_checked(end)) else { return body };
    let mut out = BytesMut::with_capacity(body.len() + text.len() + 16);
    for part in [head, b",\"quorate\":", text.as_bytes(), tail] {
        out.extend_from_slice(part);
    }
    out.freeze()
}

/// An error with the member.
pub(super) fn error(response: http::Response<Bytes>, told: Option<&Told>) -> Response {
    let mut response = response.map(|body| axum::body::Body::from(whole(body, told)));
    response.headers_mut().remove(CONTENT_LENGTH);
    response
}

/// What is to be told with an answer.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) explain: Option<Arc<Explain>>,
    /// Known at the answer's end.
    pub(super) verdict: Option<Arc<Verdict>>,
}

/// A stream with one more chunk. Its events come whole, as relayed streams' do.
pub(super) struct Explained<B> {
    inner: B,
    told: Told,
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

// === impl Told ===

impl Told {
    pub(super) fn explaining(explain: Arc<Explain>) -> Self {
        Self { explain: Some(explain), verdict: None }
    }

    /// Nothing, if nobody asked for it.
    pub(super) fn of(job: &Job) -> Option<Self> {
        job.explain.clone().map(Self::explaining)
    }

    fn so_far(&self) -> Quorate {
        Quorate {
            explain: self.explain.as_ref().map(|explain| explain.so_far()),
            verification: self.verdict.as_ref().and_then(|verdict| verdict.get().cloned()),
        }
    }
}

// === impl Explained ===

impl<B> Explained<B> {
    pub(super) fn new(inner: B, told: Told) -> Self {
        Self { inner, told, named: None }
    }

    fn pass(&mut self, data: Bytes) -> Bytes {
        if self.named.is_none() {
            self.named = named(&data);
        }
        let Some(at) = stream::end(&data) else { return data };
        let chunk = Chunk {
            named: self.named.get_or_insert_default(),
            choices: [],
            quorate: self.told.so_far(),
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
    fn a_whole_answer_keeps_all_it_had() {
        let told = Told::explaining(Arc::new(Explain::default()));
        let body = whole(Bytes::from_static(b"{\"id\":\"x\", \"z\": {}}\n"), Some(&told));
        let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(read["id"], "x");
        assert!(read["quorate"]["explain"]["candidates"].is_array(), "{read}");
        assert_eq!(whole(Bytes::from_static(b"{}"), None), "{}");
    }
}
