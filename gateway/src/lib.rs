//! The gateway: an OpenAI-compatible edge in front of independent providers.

pub mod app;
pub mod auth;
pub mod clock;
pub mod config;
pub mod http;
pub mod metrics;
pub mod shutdown;
