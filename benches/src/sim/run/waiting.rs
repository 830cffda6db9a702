//! Requests that found nobody with room, in the gateway's own queue: whose turn it is looks whenever an
//! attempt ends; who would wait for too long is shed at once.

use std::collections::HashMap;

use gateway::route::{Queue, Ticket, Urgency, Wait};

use super::{DEADLINE_S, Event, Policy, Run, us};

/// The gateway's limits.
const WAITING_MAX: usize = 1_024;
const WAIT_S: f64 = 10.0;
const LOOK_S: f64 = 0.5;

#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) queue: Queue<u32>,
    tickets: HashMap<u32, Ticket>,
    is_looking: bool,
}

impl<P: Policy> Run<'_, P> {
    pub(super) fn wait(&mut self, request: u32) {
        let deadline = self.requests[request as usize].at + us(DEADLINE_S);
        let until = (self.now + us(WAIT_S)).min(deadline);
        let wait = Wait {
            urgency: Urgency::Normal,
            deadline_ms: deadline / 1_000,
            until_ms: until / 1_000,
            not_before_ms: 0,
        };
        match self.waiting.queue.enter(&wait, WAITING_MAX, self.now / 1_000, request) {
            Ok((ticket, gone)) => {
                self.waiting.tickets.insert(request, ticket);
                self.events.push(until, Event::Overdue(request));
                self.look_later();
                gone.into_iter().for_each(|(_, gone)| self.shed(gone));
            }
            Err(_) => self.shed(request),
        }
    }

    /// There may be room.
    pub(super) fn call(&mut self) {
        while let Some((ticket, request)) = self.waiting.queue.first() {
            let (ticket, request) = (*ticket, *request);
            if !self.look(request) {
                return;
            }
            self.waiting.queue.leave(&ticket);
            self.waiting.tickets.remove(&request);
        }
    }

    pub(super) fn overdue(&mut self, request: u32) {
        if let Some(ticket) = self.waiting.tickets.remove(&request) {
            self.waiting.queue.leave(&ticket);
            self.shed(request);
        }
    }

    pub(super) fn look_again(&mut self) {
        self.waiting.is_looking = false;
        self.call();
        self.look_later();
    }

    fn look_later(&mut self) {
        if !self.waiting.queue.is_empty() && !self.waiting.is_looking {
            self.waiting.is_looking = true;
            self.events.push(self.now + us(LOOK_S), Event::Look);
        }
    }

    fn shed(&mut self, request: u32) {
        self.waiting.tickets.remove(&request);
        self.requests[request as usize].is_shed = true;
        self.close(request, false);
    }
}
