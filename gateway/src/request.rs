//! The client's request: read once, borrowed, and sent on with single members spliced. Pure: it
//! knows no provider and no policy, and it checks only the members the gateway acts on.

mod check;
mod error;
pub mod probe;
mod prompt;
pub mod rewrite;
pub(crate) mod syntax;

pub use error::Error;
pub use probe::{Endpoint, Probe, Summary};
pub use rewrite::Rewrite;
