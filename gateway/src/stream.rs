//! What happens between an upstream's bytes and the client's: a bounded SSE scanner, a byte-exact
//! relay that rewrites single members only, whole answers assembled from streams. Pure: bytes in,
//! bytes out. It refuses sockets, clocks, randomness and any decision about what to do on an error.

mod calls;
mod digest;
mod end;
mod error;
pub mod error_event;
mod evidence;
mod finish;
mod lines;
mod mend;
mod out;
mod plain;
mod plan;
mod progress;
mod reader;
mod said;
pub mod scan;
mod seam;
mod shape;
pub(crate) mod splice;
mod tag;
mod usage;

pub mod assemble;
pub mod relay;

pub use assemble::{Answer, Assembler};
pub use end::end;
pub use error::{Error, ProviderError};
pub(crate) use lines::{Role, role};
pub use out::Out;
pub use plain::plain;
pub use plan::{Fallback, Identity, Limits, Plan, UsageMode};
pub use progress::{Checkable, Completion, Progress};
pub use relay::Relay;
pub use said::Said;
pub use seam::Seam;
