//! vLLM: `/v1/completions` over ids, with the log-probabilities of the prompt, which prompt and answer
//! are here. Position `i` holds, by id, the tokens that were likeliest there and the one that stands
//! there, each with its rank from 1 on.

use super::{Question, TOP, known, malformed};
use crate::engine::Error;
use crate::score::Known;
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;

#[derive(Deserialize)]
struct Response {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    prompt_logprobs: Vec<Option<HashMap<String, Entry>>>,
}

#[derive(Deserialize)]
struct Entry {
    logprob: f64,
    rank: Option<u32>,
}

pub(super) async fn ask(question: &Question<'_>) -> Result<Vec<Known>, Error> {
    let body = json!({"model": question.model, "prompt": question.all(), "max_tokens": 1,
        "temperature": 0, "prompt_logprobs": TOP, "stream": false});
    let answer = question.post("/v1/completions", &body).await?;
    let answer: Response =
        serde_json::from_value(answer).map_err(|error| malformed(&error.to_string()))?;
    let mut rows = answer.choices.into_iter().next().map_or(Vec::new(), |c| c.prompt_logprobs);
    if rows.len() != question.prompt.len() + question.ids.len() {
        return Err(malformed("`prompt_logprobs` are of another prompt"));
    }
    let mut all = Vec::with_capacity(question.wanted.len());
    for at in question.wanted.iter().map(|at| *at as usize) {
        let row = rows.get_mut(question.prompt.len() + at).and_then(Option::take);
        let (Some(row), Some(id)) = (row, question.ids.get(at).copied()) else {
            return Err(malformed("a position without log-probabilities"));
        };
        all.push(read(row, id, question.eos)?);
    }
    Ok(all)
}

fn read(row: HashMap<String, Entry>, id: u32, eos: &[u32]) -> Result<Known, Error> {
    let (mut own, mut top) = (None, Vec::with_capacity(row.len()));
    for (name, Entry { logprob, rank }) in row {
        let other: u32 = name.parse().map_err(|_| malformed("a name that is no id"))?;
        if other == id {
            own = Some((logprob, rank.unwrap_or(1).saturating_sub(1)));
        }
        top.push((other, logprob));
    }
    let own = own.ok_or_else(|| malformed("a position of another token"))?;
    top.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    // The token itself stands there though it is far from the likeliest.
    top.truncate(TOP);
    Ok(known(top, id, Some(own), eos))
}
