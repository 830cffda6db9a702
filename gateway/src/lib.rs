//! The gateway: an OpenAI-compatible edge gateway for a decentralized inference market.

mod json;
pub mod request;
pub mod stream;
