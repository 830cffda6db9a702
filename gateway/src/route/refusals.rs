//! How long a provider is left alone that is at its limit again and again: at least that long, whatever it
//! asks for itself. One that asks to come back at once and is never any better would cost each request an
//! attempt, and all of them their retries.

/// After the second time; it doubles.
const PAUSE_MS: u64 = 100;
const PAUSE_MAX_MS: u64 = 5_000;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Refusals {
    in_a_row: u32,
    /// The last of them.
    at_ms: u64,
}

// === impl Refusals ===

impl Refusals {
    /// It refused what was sent then. The pause, in milliseconds.
    pub(super) fn refused(&mut self, sent_ms: u64, now_ms: u64) -> u64 {
        // Many that were under way together are one sign.
        if self.in_a_row == 0 || sent_ms >= self.at_ms {
            self.in_a_row = self.in_a_row.saturating_add(1);
            self.at_ms = now_ms;
        }
        match self.in_a_row.checked_sub(2) {
            Some(more) => PAUSE_MS.saturating_mul(1 << more.min(16)).min(PAUSE_MAX_MS),
            None => 0,
        }
    }

    /// It took what was sent then.
    pub(super) fn served(&mut self, sent_ms: u64) {
        if sent_ms >= self.at_ms {
            self.in_a_row = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_until_it_serves() {
        let mut refusals = Refusals::default();
        let mut pauses = || (1..=12).map(|at| refusals.refused(at, at)).collect::<Vec<_>>();
        let first = pauses();
        assert_eq!(first[..5], [0, 100, 200, 400, 800]);
        assert_eq!(first[11], PAUSE_MAX_MS);
        refusals.served(12);
        assert_eq!(refusals.refused(13, 13), 0);
    }

    #[test]
    fn refusals_of_one_batch_are_one_sign() {
        let mut refusals = Refusals::default();
        assert!((0..50).all(|_| refusals.refused(1_000, 1_010) == 0));
        assert_eq!(refusals.refused(1_010, 1_020), PAUSE_MS);
        // What it had begun before it was full says nothing.
        refusals.served(1_000);
        assert_eq!(refusals.refused(1_020, 1_030), 2 * PAUSE_MS);
    }
}
