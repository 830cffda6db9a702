//! What happens when. Of two that happen at once the one that was foreseen first comes first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Microseconds since the beginning.
pub(super) type Us = u64;

/// Numbers are those of requests, attempts or machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Arrive,
    /// The first token of an attempt.
    First(u32),
    Done(u32),
    /// It answers an error, or the connection broke.
    Broken(u32),
    /// It answers 429.
    Limited(u32),
    /// No token for longer than a stall.
    Stalled(u32),
    /// No first token in time.
    Late(u32),
    /// Is another asked beside it?
    Hedge(u32),
    /// Those who found nobody look again.
    Look,
    /// A request has waited for room as long as it may.
    Overdue(u32),
    /// A machine gets better or worse.
    Turn(u32),
}

#[derive(Debug, Default)]
pub(super) struct Events {
    heap: BinaryHeap<Reverse<(Us, u64, Event)>>,
    count: u64,
}

// === impl Events ===

impl Events {
    pub(super) fn push(&mut self, at: Us, event: Event) {
        self.count += 1;
        self.heap.push(Reverse((at, self.count, event)));
    }

    pub(super) fn pop(&mut self) -> Option<(Us, Event)> {
        self.heap.pop().map(|Reverse((at, _, event))| (at, event))
    }
}

/// The cast saturates.
pub(super) fn us(seconds: f64) -> Us {
    (seconds * 1e6) as Us
}

pub(super) fn seconds(us: Us) -> f64 {
    us as f64 / 1e6
}
