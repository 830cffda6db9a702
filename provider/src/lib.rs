//! The provider: serves a model with mistral.rs, fronts another server, or plays a script.

pub mod admission;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod counters;
pub mod engine;
pub mod grammar;
pub mod http;
pub mod metrics;
pub mod sampler;
pub mod shutdown;
pub mod telemetry;
pub mod testing;
pub mod tokenizer;
pub mod weights;
