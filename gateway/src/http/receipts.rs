//! GET /v1/receipts/{id}, /v1/receipts/keys and /v1/signature/{id}: what the caller's own key may read of its
//! answers. Another key's receipt is answered as one that there never was. And how an answer gets its
//! receipt: named in its head, finished with its last byte.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Json, Response};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use openapi::error::ErrorBody;
use openapi::receipt::{self, Receipt, SignedText, Verified};
use std::sync::{Arc, Mutex, PoisonError};

use super::completion::Caller;
use super::context::Context;
use super::error::{Error, Missing};
use crate::app::App;
use crate::auth::Principal;
use crate::metrics::Endpoint;
use crate::receipts::{self, Asked, Digested, Found, Receipts, Ticket, digest, read_id};
use crate::request::Verification;
use crate::store::{Kept, Owner};

mod body;

pub(super) use body::Receipted;

const RECEIPT: HeaderName = HeaderName::from_static("x-quorate-receipt");
const VERIFIED: HeaderName = HeaderName::from_static("x-quorate-verified");
/// What answers are called here where their provider does not name them, before the request's id.
const ANSWER_PREFIXES: [&str; 2] = ["chatcmpl-", "cmpl-"];
const ALGORITHM: &str = "ed25519";

/// A receipt to be, on its way out beside the answer whose body it is about.
#[derive(Debug, Clone)]
pub(super) struct Pending(Arc<Mutex<Option<Ticket>>>);

/// A receipt of one's own answer.
#[utoipa::path(get, path = "/v1/receipts/{id}", operation_id = "retrieveReceipt", tag = "receipts",
    security(("api_key" = [])),
    params(("id" = String, Path, description = "As the answer's `x-quorate-receipt` says")),
    responses(
        (status = 200, description = "The receipt, as it is signed for", body = Receipt),
        (status = 400, description = "The id is not UTF-8 once decoded", body = ErrorBody),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 404, description = "No such receipt of this key; `receipt_pending`: not yet", body = ErrorBody),
        (status = 500, description = "The store failed", body = ErrorBody),
    ))]
pub(super) async fn find(
    principal: Principal,
    State(app): State<Arc<App>>,
    context: Context,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Error> {
    let owner = owner(&principal);
    shown(&app, &context, path(id)?, Some(owner)).await
}

/// The keys that receipts were and are signed with. Keep them: they are what receipts are checked with.
#[utoipa::path(get, path = "/v1/receipts/keys", operation_id = "listReceiptKeys", tag = "receipts",
    security(("api_key" = [])),
    responses(
        (status = 200, description = "The newest first", body = receipt::Keys),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 404, description = "There are no receipts here", body = ErrorBody),
        (status = 500, description = "The store failed", body = ErrorBody),
    ))]
pub(super) async fn keys(
    _: Principal,
    State(app): State<Arc<App>>,
    context: Context,
) -> Result<Json<receipt::Keys>, Error> {
    let data = ask(&app, &context, Receipts::keys).await?;
    Ok(Json(receipt::Keys { object: "list".to_owned(), data }))
}

/// One's own request and answer as a signed text, in the form that TEE gateways made customary.
#[utoipa::path(get, path = "/v1/signature/{id}", operation_id = "retrieveSignature", tag = "receipts",
    security(("api_key" = [])),
    params(("id" = String, Path, description = "The answer's `id`, its `x-request-id`, or its receipt's id")),
    responses(
        (status = 200, description = "The signed text", body = SignedText),
        (status = 400, description = "The id is not UTF-8 once decoded", body = ErrorBody),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 404, description = "No such answer of this key, or none yet", body = ErrorBody),
        (status = 500, description = "The store failed", body = ErrorBody),
    ))]
pub(super) async fn signature(
    principal: Principal,
    State(app): State<Arc<App>>,
    context: Context,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<SignedText>, Error> {
    let (owner, name) = (owner(&principal), path(id)?);
    let unknown = || Error::NoReceipt(Missing::Unknown(name.clone()));
    let wanted = name.clone();
    let kept = ask(&app, &context, move |receipts| by_any_name(receipts, &owner, &wanted)).await?;
    let kept = match kept {
        Found::Receipt(kept) => kept,
        Found::Pending => return Err(Error::NoReceipt(Missing::Pending(name))),
        Found::Unknown => return Err(unknown()),
    };
    let receipt: Receipt =
        serde_json::from_str(&kept.receipt).map_err(|error| internal(&context, &error))?;
    let opening = receipt.opening.ok_or_else(unknown)?;
    let text =
        format!("{}:{}:{}", receipt.claims.model, opening.request_sha256, opening.response_sha256);
    let (key, signature) = app.receipts.sign_text(&text).ok_or_else(unknown)?;
    let signing_algo = ALGORITHM.to_owned();
    Ok(Json(SignedText { text, signature, signing_address: key, signing_algo }))
}

/// A receipt, for whoever may read it.
pub(super) async fn shown(
    app: &App,
    context: &Context,
    id: String,
    owner: Option<Owner>,
) -> Result<Response, Error> {
    let Some(wanted) = read_id(&id) else { return Err(Error::NoReceipt(Missing::Unknown(id))) };
    let found = ask(app, context, move |receipts| receipts.find(wanted, owner.as_ref())).await?;
    match found {
        Found::Receipt(kept) => Ok(json(kept)),
        Found::Pending => Err(Error::NoReceipt(Missing::Pending(id))),
        Found::Unknown => Err(Error::NoReceipt(Missing::Unknown(id))),
    }
}

fn by_any_name(receipts: &Receipts, owner: &Owner, name: &str) -> Result<Found, receipts::Error> {
    if let Some(id) = read_id(name) {
        return receipts.find(id, Some(owner));
    }
    let bare = ANSWER_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
    for name in std::iter::once(name).chain(bare) {
        if let Some(kept) = receipts.named(owner, name)? {
            return Ok(Found::Receipt(kept));
        }
    }
    Ok(Found::Unknown)
}

pub(super) fn path(id: Result<Path<String>, PathRejection>) -> Result<String, Error> {
    let Ok(Path(id)) = id else {
        return Err(Error::invalid("id", "The id is not UTF-8 once decoded."));
    };
    Ok(id)
}

/// Runs what waits for a disk, where that holds up nobody; to its end, also when the caller leaves.
pub(super) async fn ask<T: Send + 'static>(
    app: &App,
    context: &Context,
    work: impl FnOnce(&Receipts) -> Result<T, receipts::Error> + Send + 'static,
) -> Result<T, Error> {
    let receipts = app.receipts.clone();
    let done = app.shutdown.tracker().spawn_blocking(move || work(&receipts)).await;
    done.map_err(|error| internal(context, &error))?.map_err(|error| match error {
        receipts::Error::Off => Error::NoReceipt(Missing::Off),
        error => internal(context, &error),
    })
}

fn internal(context: &Context, error: &dyn std::fmt::Display) -> Error {
    let id = context.request_id.as_str().to_owned();
    tracing::error!(request_id = id, %error, "cannot use the receipts");
    Error::Internal { id }
}

/// As it was written, byte by byte.
fn json(kept: Kept) -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], kept.receipt).into_response()
}

/// Whose receipts the caller's are.
fn owner(principal: &Principal) -> Owner {
    principal.grant.digest.map_or_else(Owner::default, |digest| *digest.as_bytes())
}

/// A request's body, as it was sent, for its receipt; `None` where none are made.
pub(super) async fn sent(app: &App, body: &[u8]) -> Option<Digested> {
    match app.receipts.is_open() {
        true => Some(digest(body).await),
        false => None,
    }
}

/// A receipt for a request that has been read.
pub(super) fn begin(app: &App, caller: &Caller, wanted: Verification) -> Option<Ticket> {
    let ticket = app.receipts.begin(Asked {
        owner: owner(&caller.principal),
        is_keyed: caller.principal.grant.digest.is_some(),
        request_id: caller.context.request_id.as_str().to_owned(),
        path: called(caller.called).to_owned(),
        request: caller.sent?,
    })?;
    ticket.sheet().with(|known| {
        known.verification = receipt::Verification {
            mode: wanted.mode.as_str().to_owned(),
            k: wanted.k,
            n: wanted.n,
            ..receipt::Verification::default()
        };
    });
    Some(ticket)
}

fn called(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Chat => "/v1/chat/completions",
        Endpoint::Completions => "/v1/completions",
        Endpoint::Embeddings => "/v1/embeddings",
        Endpoint::Responses => "/v1/responses",
        _ => "/v1",
    }
}

/// Names the receipt in the answer's head, and has it finished with the answer's body.
pub(super) fn attach(response: &mut Response, ticket: Ticket, verified: Verified) {
    if !response.status().is_success() {
        return;
    }
    name(response.headers_mut(), &ticket, verified);
    response.extensions_mut().insert(Pending(Arc::new(Mutex::new(Some(ticket)))));
}

fn name(headers: &mut HeaderMap, ticket: &Ticket, verified: Verified) {
    if let Ok(id) = HeaderValue::from_str(&ticket.shown_id()) {
        headers.insert(RECEIPT, id);
    }
    name_verified(headers, verified);
}

/// Where there is no receipt the answer's head says it all the same.
pub(super) fn name_verified(headers: &mut HeaderMap, verified: Verified) {
    let verified = HeaderValue::from_static(match verified {
        Verified::Pending => "pending",
        Verified::Pass => "pass",
        Verified::Fail => "fail",
        Verified::None => "none",
    });
    headers.insert(VERIFIED, verified);
}

/// The answer as it goes out: what is hashed is what the client gets.
pub(super) fn finish(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    let pending = head.extensions.remove::<Pending>();
    let ticket = pending
        .and_then(|Pending(cell)| cell.lock().unwrap_or_else(PoisonError::into_inner).take());
    let body = match ticket {
        Some(ticket) => axum::body::Body::new(Receipted::new(body, ticket)),
        None => body,
    };
    Response::from_parts(head, body)
}
