//! The client's request: read once, borrowed, and sent on with single members spliced. Pure: it
//! knows no provider and no policy, and it checks only the members the gateway acts on.

mod check;
pub mod continuation;
mod dialect;
mod error;
mod media;
pub mod policy;
pub mod probe;
mod prompt;
pub mod rewrite;
pub(crate) mod syntax;
pub mod target;

pub use continuation::Continuation;
pub use dialect::{DeveloperRole, Dialect, TokenLimit};
pub use error::Error;
pub use media::Media;
pub use policy::{Policy, Verification};
pub use probe::{Endpoint, Probe, Summary};
pub use rewrite::Rewrite;
pub use target::Target;
