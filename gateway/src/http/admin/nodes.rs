//! /admin/v1/nodes: who has joined, what is known of each, and what operators may do about it. What
//! there is to know and to do is the market's; this file reads requests and prints answers.

mod shown;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::response::Json;
use openapi::error::ErrorBody;
use openapi::node::Standing;
use openapi::nodes::{EjectRequest, EjectedNode, NodeChanged, NodeDetail, NodeList};
use openapi::sign::PublicKey;
use serde::Deserialize;
use std::sync::Arc;

use crate::app::App;
use crate::http::body;
use crate::http::error::Error;
use shown::Shown;

const PAGE: u32 = 100;
const PAGE_MAX: u32 = 1000;
const EJECTED_MAX: usize = 1000;
const REASON_BYTES_MAX: usize = 256;

/// Which part of the list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// The node's key after which to begin.
    after: Option<String>,
    /// Nodes of one answer.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// The nodes that are joined, in the order of their keys; those sent away on the first page.
#[utoipa::path(get, path = "/admin/v1/nodes", operation_id = "listNodes", tag = "admin",
    security(("admin_token" = [])), params(Page),
    responses(
        (status = 200, description = "Nodes", body = NodeList),
        (status = 400, description = "The query is wrong; `param` names the member", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
    ))]
pub async fn list(
    State(app): State<Arc<App>>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<NodeList>, Error> {
    let Query(page) = page.map_err(|error| Error::InvalidRequest {
        message: error.body_text(),
        param: None,
        code: None,
    })?;
    let limit = page.limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        let message = format!("Invalid value for 'limit': expected 1 to {PAGE_MAX}.");
        return Err(Error::invalid("limit", message));
    }
    let after: Option<PublicKey> = match page.after.as_deref().map(str::parse) {
        None => None,
        Some(Ok(key)) => Some(key),
        Some(Err(_)) => {
            let message = "Invalid value for 'after': expected a node's key, 64 hex digits.";
            return Err(Error::invalid("after", message));
        }
    };
    let mut members = app.market.members();
    members.retain(|member| after.is_none_or(|after| member.node > after));
    members.sort_unstable_by_key(|member| member.node);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = members.len() > limit;
    let shown = Shown::new(&app);
    let data = members.iter().take(limit).map(|member| shown.node(member)).collect();
    let ejected = if after.is_none() { app.market.all_ejected() } else { Vec::new() };
    let ejected = ejected.into_iter().take(EJECTED_MAX);
    let ejected = ejected
        .map(|(node, reason)| EjectedNode { id: node.to_string(), reason: reason.to_string() });
    Ok(Json(NodeList { object: "list".to_owned(), data, has_more, ejected: ejected.collect() }))
}

/// What is known of a node, by its key, or by its name while it is joined.
#[utoipa::path(get, path = "/admin/v1/nodes/{id}", operation_id = "retrieveNode", tag = "admin",
    security(("admin_token" = [])),
    params(("id" = String, Path, description = "The node's key, or the name it sells under")),
    responses(
        (status = 200, description = "The node, with evidence", body = NodeDetail),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 404, description = "Nothing is known of such a node", body = ErrorBody),
    ))]
pub async fn find(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<NodeDetail>, Error> {
    let node = key_of(&app, id)?;
    let member = app.market.member(&node);
    let ejected = app.market.ejected(&node);
    let known = app.market.known(&node);
    if known.is_none() && ejected.is_none() {
        return Err(unknown(&node.to_string()));
    }
    let shown = Shown::new(&app);
    let refuted_region = known.as_ref().and_then(|known| known.refuted_region());
    Ok(Json(NodeDetail {
        object: "node.detail".to_owned(),
        id: node.to_string(),
        standing: standing(&app, &node),
        ejected: ejected.map(|reason| reason.to_string()),
        refuted_region,
        node: member.map(|member| shown.node(&member)),
        evidence: known.map(|known| known.evidence.records()).unwrap_or_default(),
    }))
}

/// Sends a node away, now and whenever it comes back. What its tunnel carries is cut; what came
/// directly may end.
#[utoipa::path(post, path = "/admin/v1/nodes/{id}/eject", operation_id = "ejectNode", tag = "admin",
    security(("admin_token" = [])), request_body = EjectRequest,
    params(("id" = String, Path, description = "The node's key, or the name it sells under")),
    responses(
        (status = 200, description = "It is sent away", body = NodeChanged),
        (status = 400, description = "The request is wrong; `param` names the member", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 404, description = "No node of that name is joined", body = ErrorBody),
    ))]
pub async fn eject(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<NodeChanged>, Error> {
    let node = key_of(&app, id)?;
    body::require_json(request.headers())?;
    let bytes = body::read(request.into_body(), &app.settings.limits).await?;
    let wanted: EjectRequest = serde_json::from_slice(&bytes).map_err(|error| {
        Error::InvalidRequest { message: error.to_string(), param: None, code: None }
    })?;
    let reason = wanted.reason.unwrap_or_default();
    let is_line = !reason.trim().is_empty() && !reason.chars().any(char::is_control);
    if !is_line || reason.len() > REASON_BYTES_MAX {
        let message = format!(
            "Invalid value for 'reason': expected a line of 1 to {REASON_BYTES_MAX} bytes."
        );
        return Err(Error::invalid("reason", message));
    }
    let provider = name(&app, &node);
    app.trust.eject(&node, &reason).await;
    app.bench.noted(&node, &format!("ejected by the operator: {reason}"));
    tracing::info!(%node, reason, "node ejected");
    Ok(changed(&app, &node, provider))
}

/// Lets a node come again that was sent away, or whose region was refuted.
#[utoipa::path(post, path = "/admin/v1/nodes/{id}/readmit", operation_id = "readmitNode", tag = "admin",
    security(("admin_token" = [])),
    params(("id" = String, Path, description = "The node's key")),
    responses(
        (status = 200, description = "It may join again", body = NodeChanged),
        (status = 400, description = "It may join anyway", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 404, description = "No node of that name is joined", body = ErrorBody),
    ))]
pub async fn readmit(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<NodeChanged>, Error> {
    let node = key_of(&app, id)?;
    let was_ejected = app.trust.readmit(&node).await;
    let was_refuted = app.market.known(&node).is_some_and(|known| known.forgive_region());
    if !was_ejected && !was_refuted {
        let message = "The node was not sent away.".to_owned();
        return Err(Error::InvalidRequest { message, param: Some("id".to_owned()), code: None });
    }
    app.bench.noted(&node, "readmitted by the operator");
    tracing::info!(%node, "node readmitted");
    let provider = name(&app, &node);
    Ok(changed(&app, &node, provider))
}

/// Sends no new requests to a node; its membership ends when those that run had their time. It may
/// come back.
#[utoipa::path(post, path = "/admin/v1/nodes/{id}/drain", operation_id = "drainNode", tag = "admin",
    security(("admin_token" = [])),
    params(("id" = String, Path, description = "The node's key, or the name it sells under")),
    responses(
        (status = 200, description = "It gets nothing new", body = NodeChanged),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 404, description = "No such node is joined", body = ErrorBody),
    ))]
pub async fn drain(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<NodeChanged>, Error> {
    let node = key_of(&app, id)?;
    let provider = name(&app, &node);
    if !app.market.drain(&node, app.settings.limits.request) {
        return Err(unknown(&node.to_string()));
    }
    tracing::info!(%node, "node drained");
    Ok(changed(&app, &node, provider))
}

/// By key, or by the name of a member.
fn key_of(app: &App, id: Result<Path<String>, PathRejection>) -> Result<PublicKey, Error> {
    let Ok(Path(id)) = id else {
        return Err(Error::invalid("id", "The node's key or name is not UTF-8 once decoded."));
    };
    if let Ok(key) = id.parse() {
        return Ok(key);
    }
    let members = app.market.members();
    let found = members.iter().find(|member| *member.provider == *id);
    found.map(|member| member.node).ok_or_else(|| unknown(&id))
}

fn unknown(id: &str) -> Error {
    Error::NodeNotFound { id: id.to_owned() }
}

fn name(app: &App, node: &PublicKey) -> Option<String> {
    app.market.member(node).map(|member| member.provider.to_string())
}

fn standing(app: &App, node: &PublicKey) -> Standing {
    if app.market.ejected(node).is_some() {
        return Standing::Ejected;
    }
    app.market.member(node).map_or(Standing::Gone, |member| member.standing())
}

fn changed(app: &App, node: &PublicKey, provider: Option<String>) -> Json<NodeChanged> {
    Json(NodeChanged {
        object: "node.changed".to_owned(),
        id: node.to_string(),
        provider,
        standing: standing(app, node),
    })
}
