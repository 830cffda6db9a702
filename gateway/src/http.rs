//! The HTTP surface. One file per endpoint family; [`error`] is the only place where a failure becomes
//! a response. [`Edge`] is what every request passes, in this order:
//!
//! 1. `request_id`: first, so that every answer carries one, refusals too.
//! 2. header limit: before anything else is read from the headers.
//! 3. `path`: `/v1/v1/…` and trailing slashes, before routing can miss them.
//! 4. drain: a request that comes after the end began is sent elsewhere.
//! 5. `gate`: who is calling, before the body is read and before a path is looked up, so that a new
//!    route is closed until somebody opens it.
//! 6. the key's requests a minute: a request counts when its head is read, so that one too many costs
//!    nobody a body, and one that is wrong is not free.
//! 7. the router; then the answer gets its id and time, is counted, and is logged.

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header,
};
use hyper::body::Incoming;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;
use tower::ServiceExt as _;

use crate::app::App;
use crate::auth::Principal;
use crate::config::CorsOrigins;
use crate::metrics::{Endpoint, Outcome};
use crate::server;

pub mod admin;
pub mod body;
pub mod budget;
mod chat;
mod completion;
mod completions;
pub mod context;
mod cors;
pub mod docs;
mod embeddings;
mod encoding;
pub mod error;
pub mod gate;
pub mod health;
mod key;
mod limits;
pub mod models;
mod node;
mod options;
mod path;
mod receipts;
pub mod request_id;
mod responses;
mod router;
mod wanted;

use context::Context;
use error::{Error, Row};
use gate::Gate;
use request_id::{Minter, RequestId};

pub use docs::document;

const PROCESSING_MS: HeaderName = HeaderName::from_static("openai-processing-ms");

/// Longer ones can't be represented.
const URL_BYTES_MAX: usize = 65_534;

/// Put in a response's extensions by a handler that counts its request itself, because the outcome
/// is known only when the body ends.
#[derive(Debug, Clone, Copy)]
pub struct Deferred;

/// One listener's surface.
#[derive(Debug)]
pub struct Edge {
    app: Arc<App>,
    gate: Gate,
    router: Router,
    ids: Minter,
}

/// What passed the edge.
enum Admitted {
    Request(Option<Principal>),
    /// A browser's question, which has its answer here.
    Preflight(Response<Body>),
}

// === impl Edge ===

impl Edge {
    /// What clients see.
    pub fn client(app: &Arc<App>) -> Self {
        Self {
            router: router::client().with_state(Arc::clone(app)),
            gate: Gate::Client,
            ids: Minter::default(),
            app: Arc::clone(app),
        }
    }

    /// What operators see.
    pub fn admin(app: &Arc<App>, token: &admin::Token) -> Self {
        Self {
            router: router::admin().with_state(Arc::clone(app)),
            gate: Gate::admin(token, app.settings.server.admin_listen),
            ids: Minter::default(),
            app: Arc::clone(app),
        }
    }

    /// What nodes see that join.
    pub fn node(app: &Arc<App>) -> Self {
        Self {
            router: router::node().with_state(Arc::clone(app)),
            gate: Gate::Node,
            ids: Minter::default(),
            app: Arc::clone(app),
        }
    }

    /// Answers one request.
    pub async fn answer(&self, mut request: Request<Body>) -> Response<Body> {
        let started = self.app.clock.now();
        let version = request.version();
        let id = self.ids.for_request(request.headers(), self.app.clock.unix_ms());
        path::normalise(request.uri_mut());
        let endpoint = self.endpoint(request.uri().path());
        let origins = self.cors_origins();
        let origin = origins.and_then(|_| request.headers().get(header::ORIGIN).cloned());
        let admitted = self.admit(&mut request, &id, started);
        let account = match &admitted {
            Ok(Admitted::Request(principal)) => limits::shown(principal.as_ref()),
            Ok(Admitted::Preflight(_)) | Err(_) => None,
        };
        let mut response = match admitted {
            Ok(Admitted::Preflight(answer)) => answer,
            Ok(Admitted::Request(principal)) => {
                match limits::take_request(&self.app, principal.as_ref(), &request) {
                    Ok(()) => self.route(request, &id).await,
                    Err(refusal) => refusal.into_response(),
                }
            }
            Err(refusal) => refusal.into_response(),
        };
        if let Some(account) = account {
            let now_ns = self.app.limit_time.now_ns();
            limits::write_headers(&account, now_ns, response.headers_mut());
        }
        if let Some(origins) = origins {
            cors::mark(origins, origin.as_ref(), response.headers_mut());
        }
        let body_may_follow = response.extensions().get::<Row>().is_some_and(Row::leaves_body);
        if body_may_follow && version < Version::HTTP_2 {
            // The rest of the body may still be on its way: this connection can't be used again.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.finish(&mut response, endpoint, &id, started);
        receipts::finish(response)
    }

    /// A handler that panics is answered for; only its own request is lost.
    async fn route(&self, request: Request<Body>, id: &RequestId) -> Response<Body> {
        let answer = self.router.clone().oneshot(request);
        match AssertUnwindSafe(answer).catch_unwind().await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => {
                tracing::error!(request_id = id.as_str(), "a handler panicked");
                Error::Internal { id: id.as_str().to_owned() }.into_response()
            }
        }
    }

    fn admit(
        &self,
        request: &mut Request<Body>,
        id: &RequestId,
        started: Instant,
    ) -> Result<Admitted, Error> {
        let limit_bytes = self.app.settings.limits.header_bytes;
        let headers = request.headers();
        let url = request.uri().path_and_query().map_or(0, |url| url.as_str().len());
        let size = url
            + headers
                .iter()
                .map(|(name, value)| name.as_str().len() + value.len() + 4)
                .sum::<usize>();
        if size > limit_bytes {
            return Err(Error::HeadersTooLarge { limit_bytes });
        }
        if self.app.shutdown.is_draining() && !is_probe(request.uri().path()) {
            return Err(Error::Draining);
        }
        if let Some(answer) =
            self.cors_origins().and_then(|origins| cors::preflight(origins, request))
        {
            return Ok(Admitted::Preflight(answer));
        }
        let principal = self.gate.check(&self.app, request)?;
        let context = Context { request_id: id.clone(), started, principal: principal.clone() };
        request.extensions_mut().insert(context);
        Ok(Admitted::Request(principal))
    }

    /// Where pages of other sites may come from; nowhere, for operators.
    fn cors_origins(&self) -> Option<&CorsOrigins> {
        let origins = &self.app.settings.server.cors_origins;
        (matches!(self.gate, Gate::Client) && !origins.is_empty()).then_some(origins)
    }

    fn endpoint(&self, path: &str) -> Endpoint {
        match path {
            _ if matches!(self.gate, Gate::Admin { .. }) => Endpoint::Admin,
            _ if matches!(self.gate, Gate::Node) => Endpoint::Node,
            "/v1/chat/completions" => Endpoint::Chat,
            "/v1/completions" => Endpoint::Completions,
            "/v1/embeddings" => Endpoint::Embeddings,
            _ if path == "/v1/responses" || path.starts_with("/v1/responses/") => {
                Endpoint::Responses
            }
            "/healthz" | "/readyz" => Endpoint::Health,
            "/openapi.json" | "/docs" => Endpoint::Docs,
            _ if path == "/v1/models" || path.starts_with("/v1/models/") => Endpoint::Models,
            _ => Endpoint::Other,
        }
    }

    fn finish<B>(
        &self,
        response: &mut Response<B>,
        endpoint: Endpoint,
        id: &RequestId,
        started: Instant,
    ) {
        let took = self.app.clock.now().saturating_duration_since(started);
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let status = response.status();
        let row = response.extensions_mut().remove::<Row>();
        let deferred = response.extensions_mut().remove::<Deferred>().is_some();
        let headers = response.headers_mut();
        headers.insert(request_id::HEADER, id.header());
        headers.insert(PROCESSING_MS, HeaderValue::from(millis));
        if !deferred {
            let outcome = row.map_or(Outcome::Ok, |row| row.outcome);
            self.app.metrics.count_request(endpoint, status.as_u16(), outcome);
        }
        let code = row.and_then(|row| row.code);
        let origin = row.map(|row| row.origin);
        if status.is_server_error() {
            tracing::warn!(
                request_id = id.as_str(),
                status = status.as_u16(),
                code,
                ?origin,
                millis,
                "answered"
            );
        } else {
            tracing::debug!(
                request_id = id.as_str(),
                status = status.as_u16(),
                code,
                millis,
                "answered"
            );
        }
    }
}

impl server::Handler for Edge {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        self.answer(request.map(Body::new)).await
    }

    fn refuse(&self, status: StatusCode) -> Response<Bytes> {
        let started = self.app.clock.now();
        let id = self.ids.for_request(&HeaderMap::new(), self.app.clock.unix_ms());
        let error = match status {
            StatusCode::URI_TOO_LONG => Error::UrlTooLong { limit_bytes: URL_BYTES_MAX },
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
                Error::HeadersTooLarge { limit_bytes: self.app.settings.limits.header_bytes }
            }
            _ => Error::Malformed,
        };
        let mut response = error.to_response();
        self.finish(&mut response, Endpoint::Other, &id, started);
        response
    }
}

/// Health is answered while draining, and to anybody.
fn is_probe(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

/// A path that no route has.
async fn unknown_url(method: Method, uri: http::Uri) -> Error {
    Error::UnknownUrl { method, path: uri.path().to_owned() }
}

/// A path that is known for other methods; axum adds `Allow`. OPTIONS asks for just that.
async fn wrong_method(method: Method, uri: http::Uri) -> Result<StatusCode, Error> {
    if method == Method::OPTIONS {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Error::MethodNotAllowed { method, path: uri.path().to_owned() })
}
