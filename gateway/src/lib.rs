//! The gateway: an OpenAI-compatible edge in front of independent providers. The life of a request:
//! [`server`] accepts its connection, [`http`] admits it, [`mod@request`] reads it once, [`market`] says who
//! serves the model, [`route`] chooses, [`upstream`] asks, [`stream`] relays, and [`http::error`] is the
//! only place where a failure becomes a response. [`app`] puts the parts together; [`serve`] runs them
//! until the drain.

pub mod app;
pub mod audit;
pub mod auth;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod config;
pub mod consensus;
pub mod http;
mod json;
pub mod limit;
pub mod market;
pub mod metrics;
mod nodes;
pub mod receipts;
pub mod reputation;
pub mod request;
pub mod responses;
pub mod route;
mod serve;
pub mod server;
pub mod shutdown;
pub mod store;
pub mod stream;
pub mod telemetry;
pub mod trust;
pub mod upstream;

pub use app::IDENTITY_FILE;
pub use serve::{Error as ServeError, Running, Signals, serve, serve_app, serve_with};
