//! The gateway: an OpenAI-compatible edge in front of independent providers.

pub mod app;
pub mod auth;
pub mod clock;
pub mod config;
pub mod http;
mod json;
pub mod market;
pub mod metrics;
pub mod request;
pub mod route;
pub mod shutdown;
pub mod stream;
pub mod upstream;
