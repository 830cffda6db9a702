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

use std::time::Duration;

/// One provider as the choice sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Requests of ours it is working on.
    pub in_flight: u32,
    /// What the request prefers: lower goes first.
    pub preference: u64,
    /// How long it is still to be left alone after failures; zero when it may be asked.
    pub cool_down: Duration,
    /// Already tried for this request, not admitted by it, or at the limit of connections to it.
    pub is_out: bool,
}

/// Index of the provider to ask; `None` when all are out or none is there.
///
/// One that is cooling down is chosen only where all that are left are (panic mode: a model whose
/// every provider just failed must still be tried, or it never comes back), then the one whose
/// pause ends first.
pub fn choose(candidates: impl Iterator<Item = Candidate>, random: u64) -> Option<usize> {
    let mut best: Option<(usize, (Duration, u64, u32))> = None;
    let mut ties = 0u64;
    for (index, candidate) in candidates.enumerate() {
        if candidate.is_out {
            continue;
        }
        let rank = (candidate.cool_down, candidate.preference, candidate.in_flight);
        match best {
            Some((_, least)) if rank > least => {}
            Some((_, least)) if rank == least => {
                // Reservoir sampling: the k-th of equals replaces the others with probability 1/k.
                ties += 1;
                if mix(random, ties).is_multiple_of(ties + 1) {
                    best = Some((index, rank));
                }
            }
            _ => {
                ties = 0;
                best = Some((index, rank));
            }
        }
    }
    best.map(|(index, _)| index)
}

/// A number from 0 (included) to 1 (not) of a random one.
pub fn draw(random: u64) -> f64 {
    // An f64 holds 53 bits.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let upper = (mix(random, 0) >> 11) as f64;
    upper / (1u64 << 53) as f64
}

/// SplitMix64's finaliser (Steele, Lea, Flood, 2014): independent draws from one random number.
fn mix(random: u64, step: u64) -> u64 {
    let mut z = random.wrapping_add(step.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(in_flight: u32) -> Candidate {
        Candidate { in_flight, preference: 0, cool_down: Duration::ZERO, is_out: false }
    }

    #[test]
    fn the_least_loaded_wins() {
        let all = [candidate(3), candidate(1), candidate(2)];
        for random in 0..100 {
            assert_eq!(choose(all.into_iter(), random), Some(1));
        }
    }

    #[test]
    fn what_is_preferred_goes_before_what_is_idle() {
        let all = [candidate(0), Candidate { preference: 0, ..candidate(9) }];
        let all = all.map(|c| Candidate { preference: u64::from(c.in_flight == 0), ..c });
        assert_eq!(choose(all.into_iter(), 5), Some(1));
    }

    #[test]
    fn one_that_is_out_is_never_chosen() {
        let all = [Candidate { is_out: true, ..candidate(0) }, candidate(9)];
        assert_eq!(choose(all.into_iter(), 7), Some(1));
        let all = [Candidate { is_out: true, ..candidate(0) }];
        assert_eq!(choose(all.into_iter(), 7), None);
        assert_eq!(choose(std::iter::empty(), 7), None);
    }

    #[test]
    fn one_that_cools_down_is_the_last_resort() {
        let cooling = |ms| Candidate { cool_down: Duration::from_millis(ms), ..candidate(0) };
        let all = [cooling(500), candidate(50)];
        assert_eq!(choose(all.into_iter(), 3), Some(1));
        let all = [cooling(500), cooling(20)];
        assert_eq!(choose(all.into_iter(), 3), Some(1));
    }

    #[test]
    fn equals_share_evenly() {
        let all = [candidate(1); 3];
        let mut counts = [0u32; 3];
        for random in 0..30_000u64 {
            counts[choose(all.into_iter(), mix(random, 99)).unwrap()] += 1;
        }
        for count in counts {
            assert!((9_500..10_500).contains(&count), "{counts:?}");
        }
    }
}
