//! The queue of one model as its requests share it: who is called when there may be room, and who after
//! it. Room is never handed out: whoever is called looks for itself, and passes the call on.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::queue::{Queue, Shed, Ticket, Wait};

/// Calls in a row that may find nothing, where each request has a choice of its own.
const PASSES_MAX: u32 = 32;

/// Of one model. Where nobody waits it costs a load.
#[derive(Debug, Default)]
pub struct Line {
    len: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue<Waiter>,
    /// Since there was room last, nobody who was called found any.
    is_settled: bool,
    passes: u32,
}

#[derive(Debug, Default)]
struct Waiter {
    waker: Option<Waker>,
    is_called: bool,
}

/// How it stands with one who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is to look for room.
    Called,
    Waiting {
        is_first: bool,
    },
    /// A more urgent one took its place.
    Gone,
}

// === impl Line ===

impl Line {
    pub fn is_empty(&self) -> bool {
        self.len.load(Relaxed) == 0
    }

    pub fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    /// `is_narrow`: it may not ask all whom the others may. `has_looked`: it found no room just now.
    ///
    /// # Errors
    /// As of [`Queue::enter`].
    pub fn enter(
        &self,
        wait: &Wait,
        max: usize,
        now_ms: u64,
        (is_narrow, has_looked): (bool, bool),
    ) -> Result<Ticket, Shed> {
        let mut state = self.state();
        let (ticket, gone) = state.queue.enter(wait, max, now_ms, Waiter::default())?;
        let is_first = state.queue.first().is_some_and(|(first, _)| *first == ticket);
        // Where those before it can't use what room there is, it overtakes nobody.
        let may_look = is_first || (is_narrow && state.is_settled);
        if let Some(waiter) = state.queue.get_mut(&ticket) {
            waiter.is_called = may_look && !has_looked;
        }
        self.publish(&state);
        drop(state);
        gone.and_then(|gone| gone.waker).into_iter().for_each(Waker::wake);
        Ok(ticket)
    }

    /// `waker` is woken when that changes.
    pub fn standing(&self, ticket: &Ticket, waker: &Waker) -> Standing {
        let mut state = self.state();
        let is_first = state.queue.first().is_some_and(|(first, _)| first == ticket);
        let Some(waiter) = state.queue.get_mut(ticket) else { return Standing::Gone };
        if std::mem::take(&mut waiter.is_called) {
            return Standing::Called;
        }
        match &mut waiter.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        Standing::Waiting { is_first }
    }

    /// There may be room: a request ended, or a provider turned out to bear more.
    pub fn freed(&self) {
        if self.is_empty() {
            return;
        }
        let mut state = self.state();
        (state.is_settled, state.passes) = (false, 0);
        let first = state.queue.first().map(|(ticket, _)| *ticket);
        call(state, first);
    }

    /// It was called and found nothing. Whoever may ask the same would find nothing either.
    pub fn found_none(&self, ticket: &Ticket, is_narrow: bool) {
        let mut state = self.state();
        state.passes += 1;
        let next = state.queue.after(ticket).map(|(next, _)| *next);
        if is_narrow && next.is_some() && state.passes < PASSES_MAX {
            return call(state, next);
        }
        state.is_settled = true;
    }

    /// It waits no more: it found somebody, or it goes. There may be room for the next.
    pub fn leave(&self, ticket: &Ticket) {
        let mut state = self.state();
        let next = state.queue.after(ticket).map(|(next, _)| *next);
        if state.queue.leave(ticket).is_some() {
            self.publish(&state);
            let first = state.queue.first().map(|(first, _)| *first);
            call(state, next.or(first));
        }
    }

    /// A request of the model went to a provider.
    pub fn started(&self, now_ms: u64) {
        if !self.is_empty() {
            self.state().queue.started(now_ms);
        }
    }

    /// What is told to one that has waited for as long as it may.
    pub fn overdue(&self, ticket: &Ticket, not_before_ms: u64, now_ms: u64) -> Shed {
        self.state().queue.overdue(ticket, not_before_ms, now_ms)
    }

    fn publish(&self, state: &State) {
        self.len.store(state.queue.len(), Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes it, not under the lock.
fn call(mut state: MutexGuard<'_, State>, ticket: Option<Ticket>) {
    let Some(waiter) = ticket.and_then(|ticket| state.queue.get_mut(&ticket)) else { return };
    waiter.is_called = true;
    let waker = waiter.waker.take();
    drop(state);
    waker.into_iter().for_each(Waker::wake);
}

#[cfg(test)]
mod tests {
    use super::super::queue::Urgency;
    use super::*;

    fn wait(urgency: Urgency) -> Wait {
        Wait { urgency, deadline_ms: 60_000, until_ms: 60_000, not_before_ms: 0 }
    }

    fn enter(line: &Line, is_narrow: bool) -> Ticket {
        line.enter(&wait(Urgency::Normal), 8, 0, (is_narrow, true)).expect("room")
    }

    fn standing(line: &Line, ticket: &Ticket) -> Standing {
        line.standing(ticket, Waker::noop())
    }

    #[test]
    fn room_is_offered_in_order_until_one_who_may_ask_all_finds_none() {
        let line = Line::default();
        let (narrow, open, last) = (enter(&line, true), enter(&line, false), enter(&line, false));
        assert_eq!(standing(&line, &narrow), Standing::Waiting { is_first: true });
        line.freed();
        assert_eq!(standing(&line, &open), Standing::Waiting { is_first: false });
        assert_eq!(standing(&line, &narrow), Standing::Called);
        line.found_none(&narrow, true);
        assert_eq!(standing(&line, &open), Standing::Called);
        line.found_none(&open, false);
        assert_eq!(standing(&line, &last), Standing::Waiting { is_first: false });
    }

    #[test]
    fn who_finds_somebody_calls_the_next() {
        let line = Line::default();
        let (first, second) = (enter(&line, false), enter(&line, false));
        line.freed();
        assert_eq!(standing(&line, &first), Standing::Called);
        line.leave(&first);
        assert_eq!(standing(&line, &second), Standing::Called);
        line.leave(&second);
        assert!(line.is_empty());
        assert_eq!(standing(&line, &second), Standing::Gone);
    }

    #[test]
    fn nobody_is_overtaken_by_one_who_comes_later() {
        let line = Line::default();
        let first = enter(&line, false);
        let come = |urgency, is_narrow| {
            let ticket = line.enter(&wait(urgency), 8, 0, (is_narrow, false)).expect("room");
            standing(&line, &ticket)
        };
        assert_eq!(come(Urgency::Normal, false), Standing::Waiting { is_first: false });
        assert_eq!(come(Urgency::Normal, true), Standing::Waiting { is_first: false });
        // Those before it were called, and can't use the room that is left.
        line.freed();
        assert_eq!(standing(&line, &first), Standing::Called);
        line.found_none(&first, false);
        assert_eq!(come(Urgency::Normal, true), Standing::Called);
        assert_eq!(come(Urgency::High, false), Standing::Called);
    }

    #[test]
    fn who_is_pushed_out_knows_it() {
        let line = Line::default();
        let low = line.enter(&wait(Urgency::Low), 1, 0, (false, true)).expect("room");
        let high = line.enter(&wait(Urgency::High), 1, 0, (false, true)).expect("room");
        assert_eq!(standing(&line, &low), Standing::Gone);
        assert_eq!(standing(&line, &high), Standing::Waiting { is_first: true });
        assert_eq!(line.len(), 1);
    }
}
