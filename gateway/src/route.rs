//! The choice of a provider: by what a request is expected to cost there, in one currency. Pure and
//! without allocation: it knows no HTTP, no store, no task and no clock; the time (milliseconds since the
//! gateway began) and randomness come in as numbers. The simulator drives this very code.
//!
//! `cost` is the score; `learned` what is known of one provider for one model, `flight` how one attempt
//! teaches it; `shared` what is known of a model over all providers; `choice` the draw; `hedge` and
//! `retry` what may be spent beyond the first attempt; `queue` who waits where nobody has room.

mod atomic;
mod breaker;
pub mod choice;
mod concurrency;
pub mod cost;
pub mod eligible;
mod failures;
mod flight;
pub mod hedge;
mod learned;
mod line;
mod prefix;
pub mod queue;
mod random;
mod retry;
mod shared;
mod sketch;
mod ttft;
mod window;

pub use breaker::Gate;
pub use cost::{Ask, Cost, Facts, Values};
pub use flight::{Dispatch, Flight};
pub use learned::{Failure, Learned, Prior};
pub use line::{Line, Standing};
pub use prefix::{LONG_BYTES, Prefix, SHORT_BYTES};
pub use queue::{Queue, Shed, Ticket, Urgency, Wait};
pub use random::Random;
pub use retry::Retries;
pub use shared::Shared;
pub use sketch::Sketch;

/// A number from 0 (included) to 1 (not) of a random one.
pub fn draw(random: u64) -> f64 {
    // An f64 holds 53 bits.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let upper = (mix(random) >> 11) as f64;
    upper / (1u64 << 53) as f64
}

/// SplitMix64's finaliser (Steele, Lea, Flood, 2014): numbers that follow one another come out unlike.
fn mix(random: u64) -> u64 {
    let z = (random ^ (random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
