//! What the edge knows of a request before its handler runs. Handlers take it, or parts of it, as
//! arguments; one that is reached without it answers 500, so a forgotten gate fails closed.

use axum::extract::FromRequestParts;
use http::request::Parts;
use std::time::Instant;

use super::error::Error;
use super::request_id::RequestId;
use crate::auth::Principal;

#[derive(Debug, Clone)]
pub struct Context {
    pub request_id: RequestId,
    /// When the request's head was read.
    pub started: Instant,
    /// Absent on the paths that anybody may ask for.
    pub principal: Option<Principal>,
}

impl<S: Sync> FromRequestParts<S> for Context {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parts.extensions.get::<Self>().cloned().ok_or_else(missing)
    }
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let context = parts.extensions.get::<Context>();
        context.and_then(|context| context.principal.clone()).ok_or_else(missing)
    }
}

fn missing() -> Error {
    tracing::error!("a handler was reached without the edge");
    Error::Internal { id: "ungated".to_owned() }
}
