//! Attempts: connections per provider, one try after another until the first content, then the relay.
//!
//! Owns everything between "this request wants that model" and the bytes the client gets. It refuses
//! to choose (that is `route`), to print HTTP errors (that is `http::error`), and to reprint events
//! (that is `stream`).
//!
//! No task stands between an upstream socket and the client: the upstream connection's future is
//! polled inside the response body, so that dropping the body is the cancellation, in every phase,
//! and a streamed token costs no hop between tasks.

mod admission;
mod ask;
mod attempt;
mod body;
mod call;
mod connect;
mod cuttable;
pub mod dial;
mod endpoint;
mod error;
mod explain;
mod guard;
mod judge;
mod link;
mod load;
mod opened;
mod pace;
mod patience;
mod pool;
mod purse;
mod quiet;
mod quorum;
mod race;
mod record;
mod request;
mod resume;
mod retry_after;
mod seed;
mod slate;
mod tally;
pub mod testing;
mod tunnel;
mod vectors;
mod watch;
mod way;
mod whole;
mod witness;

pub use ask::{Question, ask};
pub use attempt::{Context, Exchange};
pub use body::{ErrorEvent, Head, Streaming, stream};
pub use call::{Call, Own};
pub use endpoint::{Endpoint, Invalid};
pub use error::{Error, Phase};
pub use explain::{Explain, Why};
pub use judge::{Judge, Judgement};
pub use pool::Pool;
pub use quorum::{Checked, Parties, Settled, Verdict, checked_stream, checked_whole};
pub use record::{Record, Who};
pub use request::{Job, Receipt, Wanted};
pub use resume::Continuation;
pub use seed::Seeds;
pub use slate::tenant;
pub use tunnel::{Lines, Tunnel};
pub use whole::{Answer, whole};
pub use witness::{Answered, Keep, Nobody, Witness};

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};

thread_local! {
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0u8));
}

/// A random number for the choice of a provider: no secret, no lock, no system call.
pub fn random() -> u64 {
    STATE.with(|state| {
        // Weyl sequence; `route` mixes it.
        let next = state.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        state.set(next);
        next
    })
}
