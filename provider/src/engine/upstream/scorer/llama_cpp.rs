//! llama.cpp tells no log-probabilities of a prompt: each position is a request of its own for one token
//! behind everything before it, with the likeliest of the whole vocabulary. So few positions alone.

use super::{Question, known, malformed};
use crate::engine::Error;
use crate::score::Known;
use serde::Deserialize;
use serde_json::json;

pub(super) const POSITIONS_MAX: usize = 10;
/// More than are told on, so that an unlikely token's own is among them.
const PROBS: usize = 256;

#[derive(Deserialize)]
struct Response {
    completion_probabilities: Vec<Drawn>,
}

#[derive(Deserialize)]
struct Drawn {
    top_logprobs: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    id: u32,
    logprob: Option<f64>,
}

pub(super) async fn ask(question: &Question<'_>) -> Result<Vec<Known>, Error> {
    if question.wanted.len() > POSITIONS_MAX {
        let message = format!("at most {POSITIONS_MAX} positions are scored here");
        let param = Some("positions".to_owned());
        return Err(Error::Invalid { message, param, code: None });
    }
    let mut all = Vec::with_capacity(question.wanted.len());
    for at in question.wanted.iter().map(|at| *at as usize) {
        let before = question.ids.get(..at).unwrap_or_default();
        let before = [question.prompt, before].concat();
        // Below 0: the softmax of the raw logits, whatever samplers are configured.
        let body = json!({"prompt": before, "n_predict": 1, "n_probs": PROBS, "temperature": -1,
            "post_sampling_probs": false, "cache_prompt": true, "stream": false});
        let answer = question.post("/completion", &body).await?;
        let answer: Response =
            serde_json::from_value(answer).map_err(|error| malformed(&error.to_string()))?;
        let drawn = answer.completion_probabilities.into_iter().next();
        let row = drawn.map(|drawn| drawn.top_logprobs).filter(|row| !row.is_empty());
        let (Some(row), Some(id)) = (row, question.ids.get(at).copied()) else {
            return Err(malformed("no log-probabilities"));
        };
        let mut row: Vec<(u32, f64)> =
            row.into_iter().filter_map(|entry| Some((entry.id, entry.logprob?))).collect();
        row.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all.push(known(row, id, None, question.eos));
    }
    Ok(all)
}
