//! A whole answer that a provider sent as JSON though a stream was asked for: its bytes, with the
//! model's name put right.

use bytes::{BufMut as _, Bytes, BytesMut};
use openapi::usage::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

use super::error::Error;
use crate::request::Endpoint;
use crate::stream::{self, Progress};

#[derive(Deserialize)]
struct Read<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Vec<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Vectors<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
}

/// `body` as the client gets it. It must be an answer to what was asked.
pub(super) fn answer(
    asked: Endpoint,
    body: Bytes,
    model: &str,
) -> Result<(Bytes, Progress), Error> {
    match asked {
        Endpoint::ChatCompletions | Endpoint::Completions => completion(body, model),
        Endpoint::Embeddings => embeddings(body, model),
    }
}

/// A choice, and a finish reason in each.
fn completion(body: Bytes, model: &str) -> Result<(Bytes, Progress), Error> {
    let unusable = |what: &str| Error::Stream(what.to_owned());
    let read: Read<'_> =
        serde_json::from_slice(&body).map_err(|_| unusable("it sent JSON that is no answer"))?;
    let is_finished = |choice: &&RawValue| {
        let choice = serde_json::from_str::<Choice<'_>>(choice.get());
        choice.is_ok_and(|c| c.finish_reason.is_some_and(|reason| stream::is_finish(&reason)))
    };
    if read.choices.is_empty() || !read.choices.iter().all(is_finished) {
        return Err(Error::Truncated);
    }
    finished(body.clone(), read.model, read.usage, model)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(body: &'static str) -> Result<Bytes, Error> {
        completion(Bytes::from_static(body.as_bytes()), "ours").map(|(body, _)| body)
    }

    #[test]
    fn only_the_model_is_spliced() {
        let body = r#"{"id":"x", "model" : "theirs","choices":[{"finish_reason":"stop"}],"n":1.0e400,"z":[1]}"#;
        let want = body.replace("\"theirs\"", "\"ours\"");
        assert_eq!(mended(body).unwrap(), want);
    }

    #[test]
    fn the_same_bytes_come_back_when_nothing_differs() {
        let body = Bytes::from_static(br#"{"model":"ours","choices":[{"finish_reason":"stop"}]}"#);
        let (same, _) = completion(body.clone(), "ours").unwrap();
        assert_eq!(same.as_ptr(), body.as_ptr());
    }

    #[test]
    fn usage_is_read() {
        let body = br#"{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#;
        let (_, progress) = completion(Bytes::from_static(body), "m").unwrap();
        assert_eq!(progress.usage, Some(Usage::new(3, 4)));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for body in [
            "",
            "[]",
            "{}",
            r#"{"choices":[]}"#,
            r#"{"choices":[{"finish_reason":null}]}"#,
            r#"{"choices":[{}]}"#,
            r#"{"choices":[{"finish_reason":""}]}"#,
            r#"{"choices":[{"finish_reason":"stop"},{"finish_reason":"abort"}]}"#,
            r#"{"choices":[{"finish_reason":"error"}],"error":{"message":"out of memory"}}"#,
            r#"{"error":"x"}"#,
        ] {
            assert!(mended(body).is_err(), "{body}");
        }
    }
}
