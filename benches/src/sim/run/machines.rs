//! What providers do with attempts: take or refuse them, work on them, and go away.

use rand::Rng;

use super::parts::Stage;
use super::{Event, Failure, Fault, Policy, Run, us};
use crate::sim::machine::Admission;

/// An error comes back so fast.
const ERROR_S: f64 = 0.03;

impl<P: Policy> Run<'_, P> {
    pub(super) fn submit(&mut self, number: u32) {
        let provider = self.attempts[number as usize].provider;
        let machine = &mut self.machines[provider as usize];
        let there = us(machine.round_trip_s);
        match machine.admit(&mut self.rng) {
            Admission::Gone => self.events.push(self.now + there, Event::Broken(number)),
            Admission::Fails => self.events.push(self.now + us(ERROR_S), Event::Broken(number)),
            Admission::Full => self.events.push(self.now + there, Event::Limited(number)),
            Admission::Waits => machine.waiting.push_back(number),
            Admission::Runs => self.start(number),
        }
    }

    pub(super) fn start(&mut self, number: u32) {
        let attempt = &mut self.attempts[number as usize];
        attempt.stage = Stage::Running;
        let machine = &mut self.machines[attempt.provider as usize];
        machine.running.push(number);
        let first_s = machine.first_token_s(attempt.prompt_tokens, &mut self.rng);
        attempt.stalls = machine.stalls(&mut self.rng);
        // Half of those that stop never begin.
        if attempt.stalls && self.rng.random_bool(0.5) {
            return;
        }
        self.events.push(self.now + us(first_s), Event::First(number));
    }

    /// It is over; the next that waits there begins.
    pub(super) fn leave(&mut self, number: u32) {
        let attempt = &mut self.attempts[number as usize];
        attempt.stage = Stage::Over;
        let request = &mut self.requests[attempt.request as usize];
        request.live.retain(|live| *live != number);
        let machine = &mut self.machines[attempt.provider as usize];
        if let Some(place) = machine.running.iter().position(|running| *running == number) {
            machine.running.swap_remove(place);
        } else {
            machine.waiting.retain(|waiting| *waiting != number);
        }
        if machine.running.len() < machine.batch
            && let Some(next) = machine.waiting.pop_front()
        {
            self.start(next);
        }
    }

    pub(super) fn turn(&mut self, number: u32) {
        let machine = &mut self.machines[number as usize];
        machine.is_bad = !machine.is_bad;
        if machine.fault == Fault::Flapping && machine.is_bad {
            let mut lost = std::mem::take(&mut machine.running);
            lost.extend(std::mem::take(&mut machine.waiting));
            for attempt in lost {
                self.failed(attempt, Failure::Hard);
            }
        }
        self.turn_later(number);
    }

    pub(super) fn turn_later(&mut self, number: u32) {
        if let Some(after_s) = self.machines[number as usize].turn_s(&mut self.rng) {
            self.events.push(self.now + us(after_s), Event::Turn(number));
        }
    }
}
