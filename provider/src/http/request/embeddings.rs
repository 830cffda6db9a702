//! An embeddings request, checked. How long an input is in tokens, and which ids there are, only the
//! engine can tell.

use super::Origin;
use crate::engine::embed::{Input, Job};
use crate::http::error::Error;
use crate::http::parse;
use openapi::embeddings::{self, EncodingFormat, Request};
use serde::Deserialize;

/// Inputs of one request, as at OpenAI.
const INPUTS_MAX: usize = 2048;

/// A request that may be started.
#[derive(Debug)]
pub(in crate::http) struct Plan {
    pub(in crate::http) job: Job,
    pub(in crate::http) encoding: EncodingFormat,
}

pub(in crate::http) fn plan(request: Request, origin: &Origin) -> Result<Plan, Error> {
    if request.dimensions == Some(0) {
        return Err(Error::invalid("dimensions", "`dimensions` must be at least 1"));
    }
    let (inputs, is_list) = inputs(request.input)?;
    let job = Job {
        request_id: origin.request_id.clone(),
        model: request.model,
        inputs,
        is_list,
        dimensions: request.dimensions,
        raw: origin.raw(),
    };
    Ok(Plan { job, encoding: request.encoding_format.unwrap_or_default() })
}

/// A request that is passed on as it came.
pub(in crate::http) fn relayed(origin: &Origin) -> Result<Plan, Error> {
    #[derive(Deserialize)]
    struct Head {
        model: String,
    }
    let head: Head = parse::json(&origin.body)?;
    let job = Job {
        request_id: origin.request_id.clone(),
        model: head.model,
        inputs: Vec::new(),
        is_list: false,
        dimensions: None,
        raw: origin.raw(),
    };
    Ok(Plan { job, encoding: EncodingFormat::default() })
}

fn inputs(input: embeddings::Input) -> Result<(Vec<Input>, bool), Error> {
    let (inputs, is_list): (Vec<Input>, bool) = match input {
        embeddings::Input::Text(text) => (vec![Input::Text(text)], false),
        embeddings::Input::Ids(ids) => (vec![Input::Ids(ids)], false),
        embeddings::Input::Texts(texts) => (texts.into_iter().map(Input::Text).collect(), true),
        embeddings::Input::IdLists(lists) => (lists.into_iter().map(Input::Ids).collect(), true),
    };
    if inputs.len() > INPUTS_MAX {
        let message = format!("`input` may hold at most {INPUTS_MAX} inputs");
        return Err(Error::invalid("input", message));
    }
    let is_empty = |input: &Input| match input {
        Input::Text(text) => text.is_empty(),
        Input::Ids(ids) => ids.is_empty(),
    };
    match inputs.iter().position(is_empty) {
        Some(index) if is_list => {
            let param = format!("input[{index}]");
            Err(Error::invalid(param.clone(), format!("`{param}` must not be empty")))
        }
        None if !inputs.is_empty() => Ok((inputs, is_list)),
        _ => Err(Error::invalid("input", "`input` must not be empty")),
    }
}
