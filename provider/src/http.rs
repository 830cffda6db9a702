//! The HTTP surface: OpenAI's endpoints over any engine. Handlers check, admit, start and print;
//! they sample nothing, and no error becomes a response but through [`error`].

mod abort;
mod answer;
mod body;
mod chat;
mod completions;
mod docs;
mod embeddings;
mod error;
mod generate;
mod guard;
mod health;
mod layer;
pub mod listen;
mod models;
mod nonce;
mod parse;
mod request;
mod status;
mod verify;

pub use docs::document;
pub(crate) use guard::bearer;
pub use guard::{Guard, Peer};
pub use verify::Trust;

use crate::admission::Admission;
use crate::clock::Clock;
use crate::counters::Counters;
use crate::engine::Engine;
use crate::link::Links;
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use axum::Router;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What one request may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a request body.
    pub body_bytes: usize,
    /// Bytes of all request bodies that are held at once.
    pub bodies_bytes: usize,
    /// Silence while a request body is read.
    pub body_idle: Duration,
    /// Choices (`n`) of one request.
    pub choices: u32,
    /// Silence on a stream after which a comment is written.
    pub keep_alive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 64 << 20,
            bodies_bytes: 2 << 30,
            body_idle: Duration::from_secs(30),
            choices: 128,
            keep_alive: Duration::from_secs(10),
        }
    }
}

/// What handlers work with.
#[derive(Debug, Clone)]
pub struct Context {
    pub engine: Arc<dyn Engine>,
    pub admission: Admission,
    pub shutdown: Shutdown,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub limits: Limits,
    /// What is left of [`Limits::bodies_bytes`].
    pub bodies: Arc<Semaphore>,
    pub counters: Arc<Counters>,
    pub guard: Guard,
    pub trust: Trust,
    /// Absent where no gateway is configured.
    pub links: Option<Arc<Links>>,
}

/// Whether a response stands for a connection that is to be reset.
pub(crate) fn is_reset(response: &axum::response::Response) -> bool {
    response.extensions().get::<abort::Reset>().is_some()
}

/// The router with every route, its error fallbacks and its layers.
pub fn router(context: Context) -> Router {
    let context = Arc::new(context);
    let (router, _) = routes().split_for_parts();
    router
        .fallback(error::unknown_path)
        .method_not_allowed_fallback(error::wrong_method)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&context), guard::check))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&context), layer::around))
        .with_state(context)
}

/// Every route goes through here, so that none is missing in the contract.
fn routes() -> OpenApiRouter<Arc<Context>> {
    OpenApiRouter::with_openapi(docs::head())
        .routes(routes!(chat::create))
        .routes(routes!(completions::create))
        .routes(routes!(embeddings::create))
        .routes(routes!(verify::score::create))
        .routes(routes!(verify::info::tell))
        .routes(routes!(verify::evidence::show))
        .routes(routes!(models::list))
        .routes(routes!(models::get))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .routes(routes!(status::status))
        .routes(routes!(docs::openapi_json))
        .routes(routes!(docs::page))
}
