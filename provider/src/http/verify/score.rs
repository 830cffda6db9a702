//! `POST /v1/verify/score`: the request checked as the endpoint it was made to would check it, the answer
//! scored by the engine, the outcome signed.

use super::budget::{Later, Turn};
use crate::engine::score::Job;
use crate::engine::{Job as Writing, ModelInfo};
use crate::http::error::Error;
use crate::http::request::{self, Origin, Plan};
use crate::http::{Context, generate, parse};
use axum::extract::{Request, State};
use axum::response::Json;
use openapi::error::ErrorBody;
use openapi::sign::{SecretKey, Signed};
use openapi::verify::{ScoreRequest, Scored, TOKENS_MAX};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const PATH: &str = "/v1/verify/score";
/// All of it, waiting for a place too.
const TIME_MAX: Duration = Duration::from_secs(20);
/// Of an answer, beyond the limit of those that are scored.
const IDS_MAX: usize = 1 << 20;
const TOP_MAX: u8 = 20;
/// Of who draws by rules of his own, or by a seed nobody knows.
const OTHER_SAMPLER: &str = "other";
const NONCE_BYTES_MAX: usize = 64;

/// Scores the tokens of an answer that another node made with the same weights, in one pass. One at a
/// time, within a share of this node's time.
#[utoipa::path(post, path = "/v1/verify/score", operation_id = "scoreAnswer", tag = "verification",
    request_body = ScoreRequest,
    responses(
        (status = 200, description = "What this node's model makes of it, under the node's signature.", body = Signed<Scored>),
        (status = 400, description = "The request is wrong; `param` names the member.", body = ErrorBody),
        (status = 401, description = "No key, or no lease token that counts here.", body = ErrorBody),
        (status = 409, description = "Other weights are served here.", body = ErrorBody),
        (status = 413, description = "The body is too large.", body = ErrorBody),
        (status = 429, description = "Another answer is being scored, or the share of time is used up.", body = ErrorBody,
            headers(("retry-after" = u64, description = "Seconds."))),
        (status = 500, description = "Our fault; the log has it under the request id.", body = ErrorBody),
        (status = 503, description = "Shutting down, without a key to sign with, or not done in time.", body = ErrorBody)))]
pub(in crate::http) async fn create(
    State(context): State<Arc<Context>>,
    request: Request,
) -> Result<Json<Signed<Scored>>, Error> {
    Box::pin(serve(&context, request)).await.map(Json)
}

async fn serve(context: &Arc<Context>, request: Request) -> Result<Signed<Scored>, Error> {
    let origin = generate::origin(context, PATH, request).await?;
    let asked: ScoreRequest = parse::json(&origin.body)?;
    let unsigned =
        || Error::Unavailable("this provider is in no market and signs nothing".to_owned());
    let key = context.trust.key.clone().ok_or_else(unsigned)?;
    let (model, job) = checked(context, &asked, &origin)?;
    let turn = context.trust.desk.turn(Instant::now());
    let turn = turn.map_err(|Later(retry_after)| Error::Scoring { retry_after })?;
    let late = || Error::Unavailable(format!("not scored within {} s", TIME_MAX.as_secs()));
    let work = tokio::time::timeout(TIME_MAX, run(context, turn, job));
    let done = context.shutdown.cut().run_until_cancelled(work).await.ok_or(Error::Draining)?;
    let answer = done.map_err(|_| late())??;
    sign(asked, model, answer, &key).map_err(|error| Error::internal(&origin.request_id, &error))
}

/// In the queue like any job; from its turn on it costs scoring's share.
async fn run(
    context: &Context,
    mut turn: Turn,
    job: Job,
) -> Result<crate::engine::score::Answer, Error> {
    let id = job.job.request_id.clone();
    let ticket = context.admission.reserve(1)?.pop().ok_or(Error::Draining)?;
    let _permit = ticket.run().await;
    turn.begin(Instant::now());
    context.engine.score(job).await.map_err(|error| Error::from_engine(error, &id))
}

fn checked(
    context: &Context,
    asked: &ScoreRequest,
    origin: &Origin,
) -> Result<(ModelInfo, Job), Error> {
    if asked.nonce.len() > NONCE_BYTES_MAX {
        let message = format!("`nonce` must have at most {NONCE_BYTES_MAX} bytes");
        return Err(Error::invalid("nonce", message));
    }
    if asked.top_k > TOP_MAX {
        return Err(Error::invalid("top_k", format!("`top_k` must be at most {TOP_MAX}")));
    }
    positions(asked)?;
    let model = context.engine.models().into_iter().find(|model| {
        model.reach.is_some() && model.weights_id.as_ref() == Some(&asked.weights_id)
    });
    let model = model.ok_or(Error::OtherWeights)?;
    let (plan, margins) = plan(asked, origin, context)?;
    if asked.choice >= plan.choices {
        return Err(Error::invalid("choice", format!("the request has {} choices", plan.choices)));
    }
    let job = Writing { model: model.id.clone(), resume: None, ..plan.job(asked.choice) };
    let margins = margins || job.sampling.temperature == 0.0;
    Ok((
        model,
        Job {
            job,
            ids: asked.completion_token_ids.clone(),
            positions: asked.positions.clone(),
            top_k: asked.top_k,
            margins,
        },
    ))
}

fn positions(asked: &ScoreRequest) -> Result<(), Error> {
    let ids = asked.completion_token_ids.len();
    let param = "completion_token_ids";
    if ids == 0 || ids > IDS_MAX {
        return Err(Error::invalid(param, format!("`{param}` must have 1 to {IDS_MAX} ids")));
    }
    let Some(positions) = &asked.positions else {
        if ids > TOKENS_MAX {
            let message = format!("more than {TOKENS_MAX} tokens: name `positions`");
            return Err(Error::invalid(param, message));
        }
        return Ok(());
    };
    let param = "positions";
    if positions.is_empty() || positions.len() > TOKENS_MAX {
        return Err(Error::invalid(param, format!("`{param}` must name 1 to {TOKENS_MAX} tokens")));
    }
    let are_ascending = positions.is_sorted_by(|a, b| a < b);
    let last = positions.last().copied().unwrap_or_default();
    if !are_ascending || usize::try_from(last).map_or(true, |last| last >= ids) {
        let message = format!("`{param}` must ascend and be below the number of ids");
        return Err(Error::invalid(param, message));
    }
    Ok(())
}

/// As the endpoint's own requests are read; and whether a seed is in it.
fn plan(asked: &ScoreRequest, origin: &Origin, context: &Context) -> Result<(Plan, bool), Error> {
    let seeded = asked.request.get("seed").is_some_and(|seed| !seed.is_null());
    let internal =
        |error: serde_json::Error| Error::internal(&origin.request_id, &error.to_string());
    let body = serde_json::to_vec(&asked.request).map_err(internal)?.into();
    let choices_max = context.limits.choices;
    let theirs = |path| Origin { path, body, choices_max, evidence: false, ..origin.clone() };
    let plan = match asked.path.as_str() {
        "/v1/chat/completions" => {
            let origin = theirs("/v1/chat/completions");
            parse::json(&origin.body).and_then(|request| request::chat(request, &origin))
        }
        "/v1/completions" => {
            let origin = theirs("/v1/completions");
            parse::json(&origin.body).and_then(|request| request::text(request, &origin))
        }
        _ => {
            let message = "`path` must be /v1/chat/completions or /v1/completions";
            return Err(Error::invalid("path", message));
        }
    };
    Ok((plan.map_err(Error::inside_request)?, seeded))
}

fn sign(
    asked: ScoreRequest,
    model: ModelInfo,
    answer: crate::engine::score::Answer,
    key: &SecretKey,
) -> Result<Signed<Scored>, String> {
    let scored = Scored {
        nonce: asked.nonce,
        weights_id: asked.weights_id,
        quant: model.quant.unwrap_or_default(),
        kv_dtype: model.kv_dtype.unwrap_or_default(),
        engine: model.engine.unwrap_or_default(),
        template_sha256: model.template_sha256.unwrap_or_default(),
        prompt_ids_sha256: answer.prompt_ids_sha256,
        prompt_tokens: answer.prompt_tokens.into(),
        text_sha256: answer.text_sha256,
        finish_reason: answer.finish_reason,
        max_tokens: answer.max_tokens.into(),
        constrained: answer.constrained,
        sampler: answer.sampler.unwrap_or(OTHER_SAMPLER).to_owned(),
        scores: answer.scores,
    };
    Signed::new(&scored, key).map_err(|error| error.to_string())
}
