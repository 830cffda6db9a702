//! Attempts: connections per provider, one try after another until the first content, then the relay.
//!
//! Owns everything between "this request wants that model" and the bytes the client gets. It refuses
//! to choose (that is `route`), to print HTTP errors (that is `http::error`), and to reprint events
//! (that is `stream`).
//!
//! No task stands between an upstream socket and the client: the upstream connection's future is
//! polled inside the response body, so that dropping the body is the cancellation, in every phase,
//! and a streamed token costs no hop between tasks.

mod attempt;
mod body;
mod connect;
mod endpoint;
mod error;
mod guard;
mod link;
mod opened;
mod plain;
mod pool;
mod record;
mod request;
mod watch;
mod whole;

pub use attempt::{Context, Exchange};
pub use body::{ErrorEvent, Head, Streaming, stream};
pub use endpoint::{Endpoint, Invalid};
pub use error::{Error, Phase};
pub use pool::Stats;
pub use record::{Record, Who};
pub use request::Job;
pub use whole::{Answer, whole};
