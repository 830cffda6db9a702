//! /admin/v1/keys: keys are made, listed and revoked while the gateway runs. A key is told once, in the
//! answer that makes it.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::response::Json;
use openapi::error::ErrorBody;
use openapi::keys::{Key, KeyList, KeyRequest, KeyRevoked, NewKey};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use std::sync::Arc;

use crate::app::App;
use crate::auth::{Draft, Grant, Keys, ManageError, mint, read_id, show_id, wrong_name};
use crate::http::body;
use crate::http::context::Context;
use crate::http::error::Error;
use crate::http::key::{limits, scope};
use crate::store::{self, Record};

const PAGE: u32 = 100;
const PAGE_MAX: u32 = 1000;

/// Which part of the list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// The id after which to begin.
    after: Option<String>,
    /// Keys of one answer.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// Makes a key. It is valid at once.
#[utoipa::path(post, path = "/admin/v1/keys", operation_id = "createKey", tag = "admin",
    security(("admin_token" = [])), request_body = KeyRequest,
    responses(
        (status = 200, description = "The key, shown this once", body = NewKey),
        (status = 400, description = "The request is wrong; `param` names the member", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 500, description = "The store failed", body = ErrorBody),
    ))]
pub async fn create(
    State(app): State<Arc<App>>,
    context: Context,
    request: Request,
) -> Result<Json<NewKey>, Error> {
    body::require_json(request.headers())?;
    let bytes = body::read(request.into_body(), &app.settings.limits).await?;
    let wanted: KeyRequest = serde_json::from_slice(&bytes).map_err(|error| {
        Error::InvalidRequest { message: error.to_string(), param: None, code: None }
    })?;
    let name = wanted.name.clone().unwrap_or_default();
    if let Some(what) = wrong_name(&name) {
        return Err(Error::invalid("name", format!("Invalid value for 'name': {what}.")));
    }
    let mut fault = None;
    let (rules, scope) = Draft::from(wanted).check(&mut |member, what| {
        fault.get_or_insert_with(|| {
            Error::invalid(member, format!("Invalid value for '{member}': {what}."))
        });
    });
    if let Some(fault) = fault {
        return Err(fault);
    }
    let minted = mint(name, rules, scope, app.clock.unix_ms())
        .map_err(|error| internal(&context, &error))?;
    let made = manage(&app, &context, move |keys| keys.create(minted)).await?;
    let (record, key) = made;
    tracing::info!(id = show_id(record.id), name = record.name, "key made");
    Ok(Json(NewKey { secret: key.expose_secret().to_owned(), key: of_record(record) }))
}

/// The keys, in the order in which they were made; those of the configuration on the first page.
#[utoipa::path(get, path = "/admin/v1/keys", operation_id = "listKeys", tag = "admin",
    security(("admin_token" = [])), params(Page),
    responses(
        (status = 200, description = "Keys, without the keys themselves", body = KeyList),
        (status = 400, description = "The query is wrong; `param` names the member", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 500, description = "The store failed", body = ErrorBody),
    ))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: Context,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<KeyList>, Error> {
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
    let after = match page.after.as_deref() {
        None => None,
        Some(text) => Some(read_id(text).ok_or_else(|| {
            Error::invalid("after", "Invalid value for 'after': expected a key's id.")
        })?),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // One more than asked for tells whether there are more.
    let mut stored = manage(&app, &context, move |keys| keys.stored(after, limit + 1)).await?;
    let has_more = stored.len() > limit;
    stored.truncate(limit);
    let configured = if after.is_none() { app.keys.configured() } else { &[] };
    let data = configured.iter().map(|grant| of_config(grant));
    let data = data.chain(stored.into_iter().map(of_record)).collect();
    Ok(Json(KeyList { object: "list".to_owned(), data, has_more }))
}

/// Revokes a key, by id or name. It opens nothing any more when this answers.
#[utoipa::path(delete, path = "/admin/v1/keys/{id}", operation_id = "revokeKey", tag = "admin",
    security(("admin_token" = [])),
    params(("id" = String, Path, description = "The key's id or name")),
    responses(
        (status = 200, description = "It is revoked", body = KeyRevoked),
        (status = 400, description = "The key is one of the configuration", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 404, description = "No such key", body = ErrorBody),
        (status = 500, description = "The store failed", body = ErrorBody),
    ))]
pub async fn revoke(
    State(app): State<Arc<App>>,
    context: Context,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<KeyRevoked>, Error> {
    let Ok(Path(id)) = id else {
        return Err(Error::invalid("id", "The key's id or name is not UTF-8 once decoded."));
    };
    let record = manage(&app, &context, move |keys| keys.revoke(&id)).await?;
    let (id, name) = (show_id(record.id), record.name);
    tracing::info!(id, name, "key revoked");
    Ok(Json(KeyRevoked { object: "key.deleted".to_owned(), id, name, deleted: true }))
}

/// Runs what waits for a disk, where that holds up nobody; to its end, also when the caller leaves.
async fn manage<T: Send + 'static>(
    app: &App,
    context: &Context,
    work: impl FnOnce(&Keys) -> Result<T, ManageError> + Send + 'static,
) -> Result<T, Error> {
    let keys = app.keys.clone();
    let done = app.shutdown.tracker().spawn_blocking(move || work(&keys)).await;
    done.map_err(|error| internal(context, &error))?.map_err(|error| match error {
        ManageError::Store(store::Error::NameTaken(_)) => {
            Error::invalid("name", format!("{error}."))
        }
        ManageError::Store(store::Error::Unknown(_)) => {
            Error::KeyNotFound { message: error.to_string() }
        }
        ManageError::Store(store::Error::Full { .. })
        | ManageError::Configured(_)
        | ManageError::Open => {
            Error::InvalidRequest { message: format!("{error}."), param: None, code: None }
        }
        ManageError::Store(error) => internal(context, &error),
    })
}

fn internal(context: &Context, error: &dyn std::fmt::Display) -> Error {
    let id = context.request_id.as_str().to_owned();
    tracing::error!(request_id = id, %error, "cannot manage keys");
    Error::Internal { id }
}

/// For the command line too, which may read the store itself.
pub fn of_record(record: Record) -> Key {
    Key {
        object: "key".to_owned(),
        id: Some(show_id(record.id)),
        source: "store".to_owned(),
        hint: Some(record.hint),
        created: Some(record.created),
        limits: limits(&record.rules),
        scope: scope(&record.scope),
        name: record.name,
    }
}

fn of_config(grant: &Grant) -> Key {
    Key {
        object: "key".to_owned(),
        id: None,
        name: grant.name.to_string(),
        source: "config".to_owned(),
        hint: None,
        created: None,
        limits: limits(&grant.account.rules),
        scope: scope(&grant.scope),
    }
}
