//! The choice of a provider: by what a request is expected to cost there, in one currency. Pure and
//! without allocation: it knows no HTTP, no store, no task and no clock; the time (milliseconds since the
//! gateway began) and randomness come in as numbers. The simulator drives this very code.
//!
//! `cost` is the score; `learned` what is known of one provider for one model, `flight` how one attempt
//! teaches it; `shared` what is known of a model over all providers; `choice` the draw; `hedge` and
//! `retry` what may be spent beyond the first attempt; `queue` who waits where nobody has room.

mod atomic;
pub mod breaker;
pub mod choice;
mod concurrency;
pub mod cost;
pub mod eligible;
#[cfg(test)]
mod example;
mod failures;
mod flight;
pub mod hedge;
mod honesty;
mod learned;
mod line;
mod prefix;
pub mod queue;
mod random;
mod refusals;
mod retry;
mod shared;
mod sketch;
mod ttft;
mod window;

pub use breaker::Gate;
pub use cost::{Ask, Cost, Facts, Values};
pub use flight::{Dispatch, Flight};
pub use learned::{Failure, Learned, Prior};
pub use line::{Line, Reach, Standing};
pub use prefix::{LONG_BYTES, Prefix, SHORT_BYTES};
pub use queue::{Queue, Shed, Ticket, Urgency, Wait};
pub use random::{Random, draw};
pub use retry::Retries;
pub use shared::Shared;
pub use sketch::Sketch;
