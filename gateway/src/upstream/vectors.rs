//! A list of embeddings, which is never streamed: its bytes, with the model's name put right. It is
//! complete when every input has a vector and its tokens are counted.

use bytes::{BufMut as _, Bytes, BytesMut};
use openapi::usage::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

use super::error::Error;
use crate::stream::Progress;

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    object: Cow<'a, str>,
    #[serde(borrow)]
    data: Vec<Item<'a>>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    usage: Tokens,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(borrow)]
    embedding: &'a RawValue,
}

#[derive(Deserialize)]
struct Tokens {
    prompt_tokens: u64,
}

/// `body` as the client gets it, if it answers a request of so many `inputs`.
pub(super) fn answer(body: Bytes, model: &str, inputs: usize) -> Result<(Bytes, Progress), Error> {
    let list: List<'_> = serde_json::from_slice(&body)
        .map_err(|_| Error::Stream("it sent no list of embeddings".to_owned()))?;
    if list.object != "list" {
        return Err(Error::Stream("it sent no list of embeddings".to_owned()));
    }
    if list.data.len() != inputs || !list.data.iter().all(|item| is_vector(item.embedding.get())) {
        return Err(Error::Truncated);
    }
    if !is_in_order(&list.data) {
        return Err(Error::Stream("it sent embeddings out of their order".to_owned()));
    }
    let usage = Usage::new(list.usage.prompt_tokens, 0);
    finished(&body, list.model, Some(usage), model)
}

/// Clients take vectors by their place or by their index: both must lead to the same. Servers that
/// give all of them index 0 do no harm.
fn is_in_order(items: &[Item<'_>]) -> bool {
    let given = items.iter().filter_map(|item| item.index?.get().parse::<u64>().ok());
    given.is_sorted()
}

/// Numbers, or their base64; what is not a number is written as null.
fn is_vector(embedding: &str) -> bool {
    match embedding.as_bytes() {
        [b'"', text @ .., b'"'] => !text.is_empty(),
        [b'[', numbers @ .., b']'] => {
            numbers.iter().any(u8::is_ascii_digit)
                && numbers.iter().all(|byte| b"0123456789+-.eE, \t\r\n".contains(byte))
        }
        _ => false,
    }
}

/// A complete answer with our name for the model.
fn finished(
    body: &Bytes,
    name: Option<&RawValue>,
    usage: Option<Usage>,
    model: &str,
) -> Result<(Bytes, Progress), Error> {
    let unusable = |what: &str| Error::Stream(what.to_owned());
    let wanted = serde_json::to_string(model).map_err(|e| unusable(&e.to_string()))?;
    let spliced = match name {
        Some(raw) if raw.get() != wanted => splice(body, raw.get(), &wanted),
        Some(_) | None => None,
    };
    let progress =
        Progress { content_seen: true, finished: true, done: true, usage, ..Progress::default() };
    Ok((spliced.unwrap_or_else(|| body.clone()), progress))
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

    const USAGE: &str = r#""usage":{"prompt_tokens":3,"total_tokens":3}"#;

    fn list(items: &str) -> Bytes {
        format!(r#"{{"object":"list","model" : "theirs","data":[{items}],{USAGE},"z":1.0e400}}"#)
            .into()
    }

    #[test]
    fn only_the_model_is_spliced_and_the_tokens_are_counted() {
        let body = list(r#"{"object":"embedding","index":0,"embedding":[0.10, -1E-3]}"#);
        let (mended, progress) = answer(body.clone(), "ours", 1).unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(mended, text.replace("\"theirs\"", "\"ours\""));
        assert_eq!(progress.usage, Some(Usage::new(3, 0)));
        let (same, _) = answer(body.clone(), "theirs", 1).unwrap();
        assert_eq!(same.as_ptr(), body.as_ptr());
    }

    #[test]
    fn base64_is_a_vector_too() {
        let body = list(r#"{"embedding":"AACAPw=="},{"embedding":"AAAAAA=="}"#);
        assert!(answer(body, "m", 2).is_ok());
    }

    #[test]
    fn an_index_may_be_missing_or_the_same_for_all() {
        for index in [r#""index":0,"#, "", r#""index":null,"#] {
            let item = format!(r#"{{{index}"embedding":[1]}}"#);
            assert!(answer(list(&format!("{item},{item}")), "m", 2).is_ok(), "{index}");
        }
    }

    #[test]
    fn what_lacks_a_vector_is_no_answer() {
        let one = r#"{"embedding":[1]}"#;
        for (items, inputs) in [
            ("", 1),
            (one, 2),
            (r#"{"embedding":[1]},{"embedding":[1]}"#, 1),
            (r#"{"embedding":[]}"#, 1),
            (r#"{"embedding":""}"#, 1),
            (r#"{"embedding":null}"#, 1),
            (r#"{"embedding":[0.5,null]}"#, 1),
            (r#"{"embedding":7}"#, 1),
            (r#"{"embedding":[[0.5]]}"#, 1),
            (r#"{"embedding":["0.5"]}"#, 1),
            (r#"{"index":1,"embedding":[1]},{"index":0,"embedding":[2]}"#, 2),
            (r#"{"index":0}"#, 1),
            ("7", 1),
        ] {
            assert!(answer(list(items), "m", inputs).is_err(), "{items}");
        }
        for body in [
            String::new(),
            "[]".to_owned(),
            r#"{"error":{"message":"out of memory"}}"#.to_owned(),
            format!(r#"{{"object":"list","data":[{one}]}}"#),
            format!(r#"{{"data":[{one}],{USAGE}}}"#),
            format!(r#"{{"object":"error","data":[{one}],{USAGE}}}"#),
        ] {
            assert!(answer(body.clone().into(), "m", 1).is_err(), "{body}");
        }
    }
}
