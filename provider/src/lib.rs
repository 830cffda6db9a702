//! The provider: serves a model with mistral.rs, fronts another server, or plays a script.

pub mod engine;
