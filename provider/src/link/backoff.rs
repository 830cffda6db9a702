//! How long to wait before a gateway is dialled again: doubling up to a limit, half of it by chance,
//! so that the nodes of a gateway that was restarted do not all come at once.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(4);
/// After a refusal that repeating does not mend.
const REFUSED: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// The next wait; `random` is any number.
    pub(super) fn next(&mut self, random: u64) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        jitter(wait, random)
    }

    /// All went well.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    pub(super) fn refused(random: u64) -> Duration {
        jitter(REFUSED, random)
    }
}

/// Between half of it and all of it.
fn jitter(wait: Duration, random: u64) -> Duration {
    let half = wait / 2;
    half + half.mul_f64(random as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_to_four_seconds_and_half_of_it_is_chance() {
        let mut backoff = Backoff::default();
        let longest: Vec<u128> = (0..6).map(|_| backoff.next(u64::MAX).as_millis()).collect();
        assert_eq!(longest, [250, 500, 1000, 2000, 4000, 4000]);
        backoff.reset();
        let shortest: Vec<u128> = (0..6).map(|_| backoff.next(0).as_millis()).collect();
        assert_eq!(shortest, [125, 250, 500, 1000, 2000, 2000]);
        assert_eq!(Backoff::refused(u64::MAX).as_secs(), 60);
    }
}
