//! The provider: serves a model with mistral.rs, fronts another server, or plays a script.

pub mod counters;
pub mod decode;
pub mod engine;
pub mod grammar;
pub mod model;
pub mod sampler;
pub mod template;
pub mod text;
pub mod tokenizer;
pub mod weights;
