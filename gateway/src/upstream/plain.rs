//! A whole answer that a provider sent as JSON, a stream asked for or not: its bytes, with what is
//! wrong put right.

use bytes::{BufMut as _, Bytes, BytesMut};
use openapi::usage::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::Error;
use crate::request::Endpoint;
use crate::stream::{self, Answer, Plan, Progress};

#[derive(Deserialize)]
struct Vectors<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// `body` as the client gets it. It must be an answer to what was asked.
pub(super) fn answer(
    asked: Endpoint,
    body: Bytes,
    plan: &Plan,
) -> Result<(Bytes, Progress), Error> {
    match asked {
        Endpoint::ChatCompletions | Endpoint::Completions => {
            let Answer { body, progress } = stream::plain(body, plan)?;
            Ok((body, progress))
        }
        Endpoint::Embeddings => embeddings(body, &plan.model),
    }
}

/// At least one vector.
fn embeddings(body: Bytes, model: &str) -> Result<(Bytes, Progress), Error> {
    let read: Vectors<'_> = serde_json::from_slice(&body)
        .map_err(|_| Error::Stream("it sent JSON that is no list of embeddings".to_owned()))?;
    if read.data.is_empty() {
        return Err(Error::Truncated);
    }
    finished(body.clone(), read.model, read.usage, model)
}

/// A complete answer with our name for the model.
fn finished(
    body: Bytes,
    name: Option<&RawValue>,
    usage: Option<&RawValue>,
    model: &str,
) -> Result<(Bytes, Progress), Error> {
    let unusable = |what: &str| Error::Stream(what.to_owned());
    let usage: Option<Usage> = usage.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let wanted = serde_json::to_string(model).map_err(|e| unusable(&e.to_string()))?;
    let spliced = match name {
        Some(raw) if raw.get() != wanted => splice(&body, raw.get(), &wanted),
        Some(_) | None => None,
    };
    let progress =
        Progress { content_seen: true, finished: true, done: true, usage, ..Progress::default() };
    Ok((spliced.unwrap_or(body), progress))
}

/// `body` with `part`, a slice of it, replaced.
fn splice(body: &Bytes, part: &str, by: &str) -> Option<Bytes> {
    let start = part.as_ptr().addr().checked_sub(body.as_ptr().addr())?;
    let (head, tail) = (body.get(..start)?, body.get(start + part.len()..)?);
    let mut out = BytesMut::with_capacity(head.len() + by.len() + tail.len());
    out.put_slice(head);
    out.put_slice(by.as_bytes());
    out.put_slice(tail);
    Some(out.freeze())
}
