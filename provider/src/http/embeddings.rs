//! `POST /v1/embeddings`.

use super::Context;
use super::error::Error;
use super::{generate, parse, request};
use crate::engine::embed::{Answer, Vectors};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use openapi::embeddings::{self, Embedding, EncodingFormat, Usage, Vector};
use openapi::error::ErrorBody;
use std::sync::Arc;

const PATH: &str = "/v1/embeddings";

/// Turns texts, or token ids, into vectors of unit length.
#[utoipa::path(post, path = "/v1/embeddings", operation_id = "createEmbedding", tag = "openai",
    request_body = embeddings::Request,
    params(("x-request-id" = Option<String>, Header, description = "Echoed; at most 128 visible ASCII characters.")),
    responses(
        (status = 200, description = "One vector for each input, in order.", body = embeddings::Response),
        (status = 400, description = "The request is wrong; `param` names the member.", body = ErrorBody),
        (status = 401, description = "No key, or no lease token that counts here.", body = ErrorBody),
        (status = 404, description = "No such model here.", body = ErrorBody),
        (status = 408, description = "The body did not arrive in time.", body = ErrorBody),
        (status = 413, description = "The body is too large.", body = ErrorBody),
        (status = 415, description = "Not JSON, or compressed.", body = ErrorBody),
        (status = 429, description = "The queue is full; `retry-after` says when to come back.", body = ErrorBody,
            headers(("retry-after" = u64, description = "Seconds."))),
        (status = 500, description = "Our fault; the log has it under the request id.", body = ErrorBody),
        (status = 503, description = "Shutting down, or the engine can't serve.", body = ErrorBody)))]
pub(super) async fn create(
    State(context): State<Arc<Context>>,
    request: Request,
) -> Result<Response, Error> {
    Box::pin(serve(&context, request)).await
}

/// A request is one job, however many inputs it has.
async fn serve(context: &Context, request: Request) -> Result<Response, Error> {
    let origin = generate::origin(context, PATH, request).await?;
    let plan = if context.engine.relays() {
        request::embeddings_relayed(&origin)?
    } else {
        request::embeddings(parse::json(&origin.body)?, &origin)?
    };
    generate::check_model(context, &plan.job.model)?;
    let (id, model) = (origin.request_id, plan.job.model.clone());
    let ticket = context.admission.reserve(1)?.pop().ok_or(Error::Draining)?;
    let work = async {
        let permit = ticket.run().await;
        (context.engine.embed(plan.job).await, permit)
    };
    let done = context.shutdown.cut().run_until_cancelled(work).await;
    let (answer, permit) = done.ok_or(Error::Draining)?;
    match answer.map_err(|error| Error::from_engine(error, &id))? {
        Answer::Relay(relayed) => Ok(generate::relay(context, relayed, permit)),
        Answer::Vectors(vectors) => {
            drop(permit);
            // A full request is tens of megabytes of JSON.
            let print = move || print(model, vectors, plan.encoding);
            let printed = context.shutdown.tracker().spawn_blocking(print).await;
            let failed = |text: String| Error::internal(&id, &text);
            let body = printed.map_err(|error| failed(error.to_string()))?;
            let body = body.map_err(|error| failed(error.to_string()))?;
            let json = HeaderValue::from_static("application/json");
            Ok(([(CONTENT_TYPE, json)], body).into_response())
        }
    }
}

fn print(
    model: String,
    answer: Vectors,
    encoding: EncodingFormat,
) -> Result<Vec<u8>, serde_json::Error> {
    let data = (0u32..).zip(answer.vectors).map(|(index, vector)| Embedding {
        object: "embedding".to_owned(),
        index,
        embedding: match encoding {
            EncodingFormat::Float => Vector::Floats(vector),
            EncodingFormat::Base64 => {
                let bytes: Vec<u8> = vector.iter().flat_map(|n| n.to_le_bytes()).collect();
                Vector::Base64(STANDARD.encode(bytes))
            }
        },
    });
    let (prompt_tokens, total_tokens) = (answer.prompt_tokens, answer.prompt_tokens);
    serde_json::to_vec(&embeddings::Response {
        object: "list".to_owned(),
        data: data.collect(),
        model,
        usage: Usage { prompt_tokens, total_tokens },
    })
}
