//! Vectors by script: for the same text the same direction, drawn from its hash. Delays and faults
//! count inputs where they count tokens elsewhere; what only a stream can do wrong is without effect.

use super::{Scripted, foreign, raw_member};
use crate::engine::embed::{Answer, Input, Job, Vectors, unit};
use crate::engine::tally::Tally;
use crate::engine::{Error, Relayed};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use openapi::embeddings;
use std::time::Duration;

/// Numbers of a vector.
const DIMENSIONS: u32 = 64;
/// Tokens of an input, and ids, as of OpenAI's embedding models.
const CONTEXT: u32 = 8192;
const IDS: u32 = 100_277;

impl Scripted {
    pub(super) async fn vectors(&self, job: Job) -> Result<Answer, Error> {
        let script = self.script(raw_member(&job.raw.body))?;
        let mut tally = Tally::start(&self.counters);
        sleep(script.head_ms).await;
        if script.reset_before_head {
            tally.fail();
            return Err(Error::Abort);
        }
        if let Some(status) = script.status {
            tally.fail();
            return foreign(status, &script).map(Answer::Relay);
        }
        let made = make(&job).inspect_err(|_| tally.fail())?;
        sleep(script.ttft_ms).await;
        let inputs = u32::try_from(job.inputs.len()).unwrap_or(u32::MAX);
        for done in 0..=inputs {
            if script.stall_after == Some(done) {
                sleep(script.stall_ms).await;
            }
            if script.error_after == Some(done) {
                tally.fail();
                return Err(Error::Unavailable("error by script".to_owned()));
            }
            if script.cut_after == Some(done) {
                tally.fail();
                return Ok(Answer::Relay(cut(&job, made)));
            }
            if done < inputs {
                sleep(script.itl_ms).await;
            }
        }
        tally.finish();
        Ok(Answer::Vectors(made))
    }
}

async fn sleep(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

fn make(job: &Job) -> Result<Vectors, Error> {
    job.check_dimensions(DIMENSIONS)?;
    let mut counts = Vec::with_capacity(job.inputs.len());
    let mut vectors = Vec::with_capacity(job.inputs.len());
    for (index, input) in job.inputs.iter().enumerate() {
        let tokens = match input {
            Input::Text(text) => text.split_whitespace().count().max(1),
            Input::Ids(ids) => ids.len(),
        };
        if tokens > CONTEXT as usize {
            return Err(job.too_long(index, tokens, CONTEXT));
        }
        let row = match input {
            Input::Text(text) => row(text.as_bytes()),
            Input::Ids(ids) => match ids.iter().find(|id| **id >= IDS) {
                Some(id) => {
                    let message = format!("token id {id} is not in the vocabulary");
                    return Err(job.invalid(index, message));
                }
                None => row(&ids.iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<_>>()),
            },
        };
        counts.push(tokens);
        vectors.push(unit(row, job.dimensions)?);
    }
    Ok(Vectors { vectors, prompt_tokens: Job::total(counts.into_iter())? })
}

/// Numbers from -1 to 1.
fn row(input: &[u8]) -> Vec<f32> {
    let mut hashed = blake3::Hasher::new().update(input).finalize_xof();
    let mut bytes = [0u8; 2];
    let draw = |_| {
        hashed.fill(&mut bytes);
        f32::from(i16::from_le_bytes(bytes)) / 32_768.0
    };
    (0..DIMENSIONS).map(draw).collect()
}

/// The first half of a good answer, and then no more.
fn cut(job: &Job, made: Vectors) -> Relayed {
    let data = (0u32..).zip(made.vectors).map(|(index, vector)| embeddings::Embedding {
        object: "embedding".to_owned(),
        index,
        embedding: embeddings::Vector::Floats(vector),
    });
    let usage =
        embeddings::Usage { prompt_tokens: made.prompt_tokens, total_tokens: made.prompt_tokens };
    let whole = embeddings::Response {
        object: "list".to_owned(),
        data: data.collect(),
        model: job.model.clone(),
        usage,
    };
    let mut body = serde_json::to_vec(&whole).unwrap_or_default();
    body.truncate(body.len() / 2);
    let json = HeaderValue::from_static("application/json");
    let pieces = [Ok(Bytes::from(body)), Err(Error::Abort)];
    Relayed {
        status: StatusCode::OK,
        headers: HeaderMap::from_iter([(CONTENT_TYPE, json)]),
        body: stream::iter(pieces).boxed(),
    }
}
