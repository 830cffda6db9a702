//! Audits against planted cheaters: the gateway's own code of audits and reputation, the provider's own
//! pipeline and scoring on the toy model, in one process and without a network. It measures how many audits
//! and requests it takes until a cheater is sent away, and whether anybody honest is. Random numbers are
//! pinned; the same command prints the same table.

mod cases;
mod gateway;
mod node;
mod request;
mod trial;

pub use cases::{Scene, scenes};
pub use node::{Case, Node};
pub use request::{Kind, request};
pub use trial::{Row, measure};

/// What went wrong in the harness itself.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

#[cfg(test)]
mod tests;
