//! The provider: serves a model with mistral.rs, fronts another server, or plays a script.

pub mod admission;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod counters;
pub mod decode;
pub mod engine;
pub mod grammar;
pub mod hardware;
pub mod http;
pub mod identity;
pub mod link;
pub mod metrics;
pub mod model;
pub mod offer;
pub mod sampler;
pub mod shutdown;
pub mod status;
pub mod telemetry;
pub mod template;
pub mod testing;
pub mod text;
pub mod tokenizer;
pub mod weights;
