//! The provider: serves a model with mistral.rs, fronts another server, or plays a script.

pub mod counters;
pub mod engine;
pub mod grammar;
pub mod sampler;
pub mod tokenizer;
pub mod weights;
