//! SGLang: `/generate` over ids, with the log-probabilities of its input from the answer's first token
//! on. An entry is `[logprob, id, text]`; they are taken from the end, since versions differ in whether
//! an empty one stands first.

use super::{Question, TOP, known, malformed};
use crate::engine::Error;
use crate::score::Known;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Response {
    meta_info: Meta,
}

#[derive(Deserialize)]
struct Meta {
    input_token_logprobs: Vec<Option<Entry>>,
    input_top_logprobs: Vec<Option<Vec<Entry>>>,
}

/// Log-probability, id, and text or nothing.
#[derive(Deserialize)]
struct Entry(Option<f64>, u32, #[expect(dead_code, reason = "has its place")] Option<Value>);

pub(super) async fn ask(question: &Question<'_>) -> Result<Vec<Known>, Error> {
    let from = question.prompt.len().saturating_sub(1);
    let body = json!({"input_ids": question.all(), "return_logprob": true, "stream": false,
        "logprob_start_len": from, "top_logprobs_num": TOP,
        "sampling_params": {"temperature": 0, "max_new_tokens": 1}});
    let answer = question.post("/generate", &body).await?;
    let answer: Response =
        serde_json::from_value(answer).map_err(|error| malformed(&error.to_string()))?;
    let Meta { input_token_logprobs: own, input_top_logprobs: mut top } = answer.meta_info;
    let ids = question.ids.len();
    let (Some(skip), Some(skip_top)) = (own.len().checked_sub(ids), top.len().checked_sub(ids))
    else {
        return Err(malformed("fewer log-probabilities than tokens"));
    };
    let mut all = Vec::with_capacity(question.wanted.len());
    for at in question.wanted.iter().map(|at| *at as usize) {
        let own = own.get(skip + at).and_then(Option::as_ref);
        let id = question.ids.get(at).copied();
        let (Some(Entry(Some(lp), told, _)), Some(id)) = (own, id) else {
            return Err(malformed("a position without log-probabilities"));
        };
        if *told != id {
            return Err(malformed("a position of another token"));
        }
        let row = top.get_mut(skip_top + at).and_then(Option::take).unwrap_or_default();
        let mut row: Vec<(u32, f64)> =
            row.into_iter().filter_map(|Entry(lp, id, _)| Some((id, lp?))).collect();
        row.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let above = row.iter().filter(|(_, other)| other > lp).count();
        let own = (*lp, u32::try_from(above).unwrap_or(u32::MAX));
        all.push(known(row, id, Some(own), question.eos));
    }
    Ok(all)
}
