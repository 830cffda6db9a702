//! GET /v1/key: what the caller's own key may use, and what is left of it.

use axum::extract::State;
use axum::response::Json;
use openapi::error::ErrorBody;
use openapi::keys::{KeyLimits, KeyScope, OwnKey, Remaining};
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::app::App;
use crate::auth::{Principal, Scope, show_id};
use crate::limit::{Level, Rules};

/// The caller's key: its limits, what is left of them, and what it may reach.
#[utoipa::path(get, path = "/v1/key", operation_id = "retrieveKey", tag = "keys", security(("api_key" = [])),
    responses(
        (status = 200, description = "The caller's key", body = OwnKey),
        (status = 401, description = "No valid key", body = ErrorBody),
    ))]
pub(super) async fn own(principal: Principal, State(app): State<Arc<App>>) -> Json<OwnKey> {
    let grant = &principal.grant;
    let state = grant.account.state(app.limit_time.now_ns());
    Json(OwnKey {
        object: "key".to_owned(),
        id: grant.id.map(show_id),
        name: grant.name.to_string(),
        limits: limits(&grant.account.rules),
        scope: scope(&grant.scope),
        requests: state.requests.map(remaining),
        tokens: state.tokens.map(remaining),
        open_streams: state.open_streams,
    })
}

pub(super) fn limits(rules: &Rules) -> KeyLimits {
    KeyLimits {
        requests_per_minute: rules.requests_per_minute.map(NonZeroU32::get),
        tokens_per_minute: rules.tokens_per_minute.map(NonZeroU32::get),
        concurrent_streams: rules.concurrent_streams.map(NonZeroU32::get),
        choices_max: rules.choices_max.map(NonZeroU32::get),
        hedges_max: rules.hedges_max,
        quorum_max: Some(rules.quorum_max()),
        verification: rules.verification.map(|verification| verification.to_text()),
    }
}

pub(super) fn scope(scope: &Scope) -> KeyScope {
    let list = |list: Option<&[String]>| list.map(<[String]>::to_vec);
    KeyScope {
        models: list(scope.models()),
        regions: list(scope.regions()),
        providers: list(scope.providers()),
    }
}

fn remaining(level: Level) -> Remaining {
    let reset_ms = level.full_in.as_nanos().div_ceil(1_000_000);
    Remaining {
        limit: level.limit,
        remaining: level.remaining,
        reset_ms: u64::try_from(reset_ms).unwrap_or(u64::MAX),
    }
}
