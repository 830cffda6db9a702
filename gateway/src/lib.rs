//! The gateway: an OpenAI-compatible edge in front of independent providers. The life of a request:
//! [`server`] accepts its connection, [`http`] admits and routes it, a handler answers it, and
//! [`http::error`] is the only place where a failure becomes a response. [`app`] puts the parts
//! together; [`serve`] runs them until the drain.

pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod http;
pub mod metrics;
mod serve;
pub mod server;
pub mod shutdown;
pub mod telemetry;

pub use serve::{Error as ServeError, Running, Signals, serve, serve_app};
