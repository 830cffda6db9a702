//! The queue of one model as its requests share it: who is called when there may be room, and who after
//! it. Room is never handed out: whoever is called looks for itself, and passes the call on.
//!
//! Nobody waits behind one that can't use the room there is: the *wide*, who may ask every provider, wait
//! for each other, and the *narrow* for nobody.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU64, AtomicUsize, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::queue::{Queue, Shed, Ticket, Wait};

/// Calls in a row that may find nothing, where each request has a choice of its own.
const PASSES_MAX: u32 = 32;

/// Of one model. Where nobody waits it costs a load.
#[derive(Debug, Default)]
pub struct Line {
    len: AtomicUsize,
    editions: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue<Waiter>,
    /// Of those who wait, who may ask all who serve the model by now.
    wide: BTreeSet<Ticket>,
    /// The newest that somebody came with.
    edition: u64,
    /// Since there was room last, nobody who was called found any.
    is_settled: bool,
    passes: u32,
}

#[derive(Debug, Default)]
struct Waiter {
    waker: Option<Waker>,
    is_called: bool,
}

/// Whom one may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Not all: its policy forbids it, or it has asked some of them.
    pub is_narrow: bool,
    /// Of the list of providers: who came with an older one knows fewer of them.
    pub edition: u64,
}

/// How it stands with one who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is to look for room.
    Called,
    Waiting {
        /// It may look without a call: nobody is overtaken.
        may_look: bool,
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

    /// The list of the model's providers is made anew.
    pub fn edition(&self) -> u64 {
        self.editions.fetch_add(1, Relaxed)
    }

    /// Whether one that comes may look for room before it waits.
    pub fn lets_pass(&self, reach: Reach) -> bool {
        self.is_empty() || self.state().lets_pass(reach)
    }

    /// Whoever may look is called: what came free since it has looked, nobody told it.
    ///
    /// # Errors
    /// As of [`Queue::enter`].
    pub fn enter(
        &self,
        wait: &Wait,
        max: usize,
        now_ms: u64,
        reach: Reach,
    ) -> Result<Ticket, Shed> {
        let mut state = self.state();
        let may_look = state.lets_pass(reach);
        let (ticket, gone) = state.queue.enter(wait, max, now_ms, Waiter::default())?;
        if let Some((gone, _)) = &gone {
            state.wide.remove(gone);
        }
        if reach.edition > state.edition {
            // Those who wait know fewer of them.
            state.edition = reach.edition;
            state.wide.clear();
        }
        if !reach.is_narrow && reach.edition == state.edition {
            state.wide.insert(ticket);
        }
        let overtakes_nobody = state.wide.first().is_none_or(|wide| ticket <= *wide);
        if let Some(waiter) = state.queue.get_mut(&ticket) {
            waiter.is_called = may_look || overtakes_nobody;
        }
        // It was the last, and all before it have looked.
        state.is_settled |= gone.as_ref().is_some_and(|(_, gone)| gone.is_called);
        self.publish(&state);
        drop(state);
        gone.and_then(|(_, gone)| gone.waker).into_iter().for_each(Waker::wake);
        Ok(ticket)
    }

    /// `waker` is woken when that changes.
    pub fn standing(&self, ticket: &Ticket, waker: &Waker) -> Standing {
        let mut state = self.state();
        let may_look = state.is_narrow(ticket) || state.wide.first() == Some(ticket);
        let Some(waiter) = state.queue.get_mut(ticket) else { return Standing::Gone };
        if std::mem::take(&mut waiter.is_called) {
            return Standing::Called;
        }
        match &mut waiter.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        Standing::Waiting { may_look }
    }

    /// There may be room: a request ended, or a provider turned out to bear more.
    pub fn freed(&self) {
        // Whoever is not seen here looks after it has entered, and sees the room.
        fence(SeqCst);
        if self.is_empty() {
            return;
        }
        let mut state = self.state();
        (state.is_settled, state.passes) = (false, 0);
        let first = state.queue.first().map(|(ticket, _)| *ticket);
        call(state, first);
    }

    /// It looked and found nothing. Whoever may ask the same would find nothing either.
    pub fn found_none(&self, ticket: &Ticket) {
        let mut state = self.state();
        state.passes += 1;
        let next = match state.passes {
            _ if !state.is_narrow(ticket) => None,
            passes if passes < PASSES_MAX => state.queue.after(ticket).map(|(next, _)| *next),
            // The others look now and then.
            PASSES_MAX => state.wide.range(ticket..).next().copied(),
            _ => None,
        };
        match next {
            Some(_) => call(state, next),
            None => state.is_settled = true,
        }
    }

    /// It waits no more: it found somebody, or it goes. There may be room for the next.
    pub fn leave(&self, ticket: &Ticket) {
        let mut state = self.state();
        let next = state.queue.after(ticket).map(|(next, _)| *next);
        if state.queue.leave(ticket).is_some() {
            state.wide.remove(ticket);
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

    /// What is told to one that does not wait.
    pub fn expected(&self, not_before_ms: u64, now_ms: u64) -> Shed {
        self.state().queue.expected(not_before_ms, now_ms)
    }

    fn publish(&self, state: &State) {
        self.len.store(state.queue.len(), Relaxed);
        fence(SeqCst);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    /// Whether nobody who waits could use the room that one with this reach finds.
    fn lets_pass(&self, reach: Reach) -> bool {
        self.wide.is_empty() || reach.edition > self.edition || (reach.is_narrow && self.is_settled)
    }

    fn is_narrow(&self, ticket: &Ticket) -> bool {
        !self.wide.contains(ticket)
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

    const ALL: Reach = Reach { is_narrow: false, edition: 0 };
    const SOME: Reach = Reach { is_narrow: true, edition: 0 };

    fn wait(urgency: Urgency) -> Wait {
        Wait { urgency, deadline_ms: 60_000, until_ms: 60_000, not_before_ms: 0 }
    }

    /// One that comes, and was called if it may look.
    fn come(line: &Line, urgency: Urgency, reach: Reach) -> (Ticket, Standing) {
        let ticket = line.enter(&wait(urgency), 100, 0, reach).expect("room");
        (ticket, standing(line, &ticket))
    }

    /// One that has looked.
    fn enter(line: &Line, reach: Reach) -> Ticket {
        let (ticket, is) = come(line, Urgency::Normal, reach);
        if is == Standing::Called {
            line.found_none(&ticket);
        }
        ticket
    }

    fn standing(line: &Line, ticket: &Ticket) -> Standing {
        line.standing(ticket, Waker::noop())
    }

    fn waiting(may_look: bool) -> Standing {
        Standing::Waiting { may_look }
    }

    #[test]
    fn room_is_offered_in_order_until_one_who_may_ask_all_finds_none() {
        let line = Line::default();
        let (narrow, open, last) = (enter(&line, SOME), enter(&line, ALL), enter(&line, ALL));
        assert_eq!(standing(&line, &narrow), waiting(true));
        line.freed();
        assert_eq!(standing(&line, &open), waiting(true));
        assert_eq!(standing(&line, &narrow), Standing::Called);
        line.found_none(&narrow);
        assert_eq!(standing(&line, &open), Standing::Called);
        line.found_none(&open);
        assert_eq!(standing(&line, &last), waiting(false));
    }

    #[test]
    fn who_finds_somebody_calls_the_next() {
        let line = Line::default();
        let (first, second) = (enter(&line, ALL), enter(&line, ALL));
        line.freed();
        assert_eq!(standing(&line, &first), Standing::Called);
        line.leave(&first);
        assert_eq!(standing(&line, &second), Standing::Called);
        line.leave(&second);
        assert!(line.is_empty());
        assert_eq!(standing(&line, &second), Standing::Gone);
    }

    #[test]
    fn who_enters_looks_once_more() {
        let line = Line::default();
        // Room came between its look and its place, when nobody was there to be called.
        line.freed();
        assert_eq!(come(&line, Urgency::Normal, ALL).1, Standing::Called);
    }

    #[test]
    fn who_may_ask_all_is_overtaken_by_nobody_who_comes_later() {
        let line = Line::default();
        let first = enter(&line, ALL);
        line.freed();
        for reach in [ALL, SOME] {
            assert!(!line.lets_pass(reach));
            assert_eq!(come(&line, Urgency::Normal, reach).1, waiting(reach.is_narrow));
        }
        // The first was called, and can't use the room that is left.
        assert_eq!(standing(&line, &first), Standing::Called);
        line.found_none(&first);
        assert!(line.lets_pass(SOME) && !line.lets_pass(ALL));
        assert_eq!(come(&line, Urgency::Normal, SOME).1, Standing::Called);
        assert_eq!(come(&line, Urgency::High, ALL).1, Standing::Called);
    }

    #[test]
    fn who_may_ask_some_holds_up_nobody() {
        let line = Line::default();
        let narrow: Vec<Ticket> = (0..2 * PASSES_MAX).map(|_| enter(&line, SOME)).collect();
        line.freed();
        assert!(line.lets_pass(ALL) && line.lets_pass(SOME));
        let open = enter(&line, ALL);
        // However many wait before it, it is called when there is room.
        line.freed();
        let mut calls = 0;
        for ticket in narrow {
            if standing(&line, &ticket) == Standing::Called {
                calls += 1;
                line.found_none(&ticket);
            }
        }
        assert_eq!(calls, PASSES_MAX);
        assert_eq!(standing(&line, &open), Standing::Called);
    }

    #[test]
    fn who_knows_of_a_new_provider_waits_for_nobody_who_does_not() {
        let line = Line::default();
        let editions = [line.edition(), line.edition()];
        let [old, new] = editions.map(|edition| Reach { edition, ..ALL });
        let first = enter(&line, old);
        assert!(!line.lets_pass(old) && line.lets_pass(new));
        let (second, is) = come(&line, Urgency::Normal, new);
        assert_eq!(is, Standing::Called);
        line.found_none(&second);
        assert!(!line.lets_pass(new));
        // They are called in their turn all the same.
        line.freed();
        assert_eq!(standing(&line, &first), Standing::Called);
        line.found_none(&first);
        assert_eq!(standing(&line, &second), Standing::Called);
    }

    #[test]
    fn who_is_pushed_out_knows_it() {
        let line = Line::default();
        let low = line.enter(&wait(Urgency::Low), 1, 0, ALL).expect("room");
        let high = line.enter(&wait(Urgency::High), 1, 0, ALL).expect("room");
        assert_eq!(standing(&line, &low), Standing::Gone);
        assert_eq!(standing(&line, &high), Standing::Called);
        line.found_none(&high);
        assert_eq!(standing(&line, &high), waiting(true));
        assert_eq!(line.len(), 1);
        line.leave(&high);
        assert!(line.lets_pass(ALL));
    }
}
