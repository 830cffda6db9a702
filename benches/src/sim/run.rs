//! The events of one policy in one market: requests arrive, attempts begin, are hedged, retried and
//! continued, and end. All policies have the same time-outs and retries.

mod machines;
mod parts;
mod waiting;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use gateway::route::{Failure, Retries};

use super::Who;
use super::audits::Audits;
use super::events::{Event, Events, Us, us};
use super::machine::{Fault, Machine};
use super::outcome::{DEADLINE_S, End, Outcome, Tally};
use super::policy::{Picked, Policy, Wanted};
use super::scenario::Scenario;
use super::traffic::{Job, Traffic};
use super::world::World;
use parts::{Attempt, Kind, Request, Stage};
use waiting::Waiting;

/// No first token for so long, and the next provider is asked.
const LATE_S: f64 = 15.0;
/// No token for so long in the middle of an answer.
const STALL_S: f64 = 10.0;
/// Of a provider that is full.
const RETRY_AFTER_MS: u64 = 1_000;
/// Hedges included.
const ATTEMPTS: u32 = 3;
const CONTINUATIONS: u32 = 2;

pub(super) struct Run<'a, P: Policy> {
    scenario: &'a Scenario,
    policy: P,
    machines: Vec<Machine>,
    audits: Vec<Audits>,
    traffic: Traffic,
    rng: StdRng,
    events: Events,
    now: Us,
    requests: Vec<Request>,
    attempts: Vec<Attempt<P::Flight>>,
    retries: Retries,
    waiting: Waiting,
    over: usize,
    tally: Tally,
}

// === impl Run ===

impl<'a, P: Policy> Run<'a, P> {
    pub(super) fn new(scenario: &'a Scenario, world: World, policy: P, seed: u64) -> Self {
        let traffic = Traffic::new(scenario, world.rate, seed);
        let mut run = Self {
            scenario,
            policy,
            audits: vec![Audits::default(); world.machines.len()],
            machines: world.machines,
            traffic,
            rng: StdRng::seed_from_u64(seed ^ 0x0072_756e),
            events: Events::default(),
            now: 0,
            requests: Vec::with_capacity(scenario.requests),
            attempts: Vec::with_capacity(scenario.requests * 11 / 10),
            retries: Retries::default(),
            waiting: Waiting::default(),
            over: 0,
            tally: Tally::default(),
        };
        for machine in 0..index(run.machines.len()) {
            run.turn_later(machine);
        }
        run
    }

    pub(super) fn finish(self, who: Who) -> Outcome {
        let (utilization, providers) = (self.scenario.utilization, self.scenario.providers);
        self.count().outcome(who.name(), utilization, providers)
    }

    pub(super) fn count(mut self) -> Tally {
        self.arrive_later();
        while self.over < self.scenario.requests {
            let Some((now, event)) = self.events.pop() else { break };
            self.now = now;
            self.handle(event);
        }
        self.tally
    }

    fn handle(&mut self, event: Event) {
        self.happen(event);
        if !self.waiting.queue.is_empty() {
            self.call();
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive => self.arrive(),
            Event::Look => self.look_again(),
            Event::Overdue(request) => self.overdue(request),
            Event::Turn(machine) => self.turn(machine),
            Event::First(attempt) if self.is_live(attempt) => self.first_token(attempt),
            Event::Done(attempt) if self.is_live(attempt) => self.done(attempt),
            Event::Hedge(attempt) if self.is_live(attempt) => self.hedge(attempt),
            Event::Broken(attempt) if self.is_live(attempt) => self.failed(attempt, Failure::Hard),
            Event::Stalled(attempt) if self.is_live(attempt) => {
                self.failed(attempt, Failure::Hard);
            }
            Event::Limited(attempt) if self.is_live(attempt) => {
                self.failed(attempt, Failure::Limited { pause_ms: RETRY_AFTER_MS });
            }
            Event::Late(attempt) if self.is_live(attempt) => {
                if matches!(self.attempt(attempt).stage, Stage::Waiting | Stage::Running) {
                    self.failed(attempt, Failure::Slow);
                }
            }
            _ => {}
        }
    }

    // Requests.

    fn arrive_later(&mut self) {
        if self.requests.len() < self.scenario.requests {
            let (at, job) = self.traffic.next();
            self.requests.push(Request::new(job, at));
            self.events.push(at, Event::Arrive);
        }
    }

    fn arrive(&mut self) {
        let request = index(self.requests.len() - 1);
        self.arrive_later();
        self.retries.request(self.now / 1_000);
        self.ask(request);
    }

    /// Begins an attempt where the policy says, or waits for its turn.
    fn ask(&mut self, request: u32) {
        if !self.waiting.queue.is_empty() || !self.look(request) {
            self.wait(request);
        }
    }

    /// False: nobody has room.
    fn look(&mut self, request: u32) -> bool {
        let asked = &self.requests[request as usize];
        let wanted = Wanted { job: &asked.job, tried: &asked.tried, now: self.now };
        let picks = self.policy.pick(&wanted, &self.machines);
        let Some(best) = picks.best else { return false };
        self.waiting.queue.started(self.now / 1_000);
        self.begin(request, best, Kind::Main);
        if let Some(probe) = picks.probe {
            self.begin(request, probe, Kind::Probe);
        }
        true
    }

    fn begin(&mut self, request: u32, picked: Picked<P::Flight>, kind: Kind) {
        let attempt = index(self.attempts.len());
        let Picked { provider, flight } = picked;
        let asked = &mut self.requests[request as usize];
        asked.tried.push(provider);
        asked.live.push(attempt);
        if asked.asked > 0 {
            asked.extra += 1;
        }
        if kind != Kind::Probe {
            asked.asked += 1;
        }
        let deadline = asked.at + us(DEADLINE_S);
        let late = match asked.first {
            None => (self.now + us(LATE_S)).min(deadline.max(self.now + 1)),
            Some(_) => self.now + us(LATE_S),
        };
        self.events.push(late, Event::Late(attempt));
        if kind == Kind::Main
            && let Some(after_s) = self.policy.late_after_s(&flight)
        {
            self.events.push(self.now + us(after_s), Event::Hedge(attempt));
        }
        let emitted = asked.job.answer_tokens - asked.left;
        self.attempts.push(Attempt {
            request,
            provider,
            flight: Some(flight),
            kind,
            stage: Stage::Waiting,
            prompt_tokens: asked.job.prompt_tokens + emitted,
            tokens: asked.left,
            began: self.now,
            first: 0,
            decode: 0,
            stalls: false,
        });
        self.submit(attempt);
    }

    fn hedge(&mut self, attempt: u32) {
        let first = &self.attempts[attempt as usize];
        let asked = &self.requests[first.request as usize];
        let is_late = matches!(first.stage, Stage::Waiting | Stage::Running);
        // Once, and not where a probe or another may still be first.
        if !is_late || asked.serving.is_some() || asked.asked >= ATTEMPTS {
            return;
        }
        let Some(flight) = &first.flight else { return };
        let wanted = Wanted { job: &asked.job, tried: &asked.tried, now: self.now };
        let (request, waited) = (first.request, self.now - first.began);
        match self.policy.hedge(&wanted, flight) {
            Some(second) => self.begin(request, second, Kind::Hedge),
            // The longer it takes, the longer it is going to take: worth another look.
            None => self.events.push(self.now + waited / 2, Event::Hedge(attempt)),
        }
    }

    fn close(&mut self, request: u32, is_answered: bool) {
        let asked = &mut self.requests[request as usize];
        asked.is_over = true;
        self.over += 1;
        let live = std::mem::take(&mut asked.live);
        for attempt in live {
            // A probe goes on until it has shown what it is to show.
            if self.attempt(attempt).kind == Kind::Probe {
                self.requests[request as usize].live.push(attempt);
            } else {
                self.give_up(attempt);
            }
        }
        let asked = &self.requests[request as usize];
        if self.scenario.surge.is_some() {
            let Request { at, first, is_shed, .. } = *asked;
            self.tally.ends.push(End { at, first, over: self.now, is_answered, is_shed });
        }
        self.policy.spent(asked.dollars - asked.wasted, asked.wasted);
        if (request as usize) < self.scenario.warm_up {
            return;
        }
        let tally = &mut self.tally;
        tally.requests += 1;
        tally.extra += asked.extra;
        tally.dollars += asked.dollars;
        // What broke off for good is worth nothing.
        tally.wasted += if is_answered { asked.wasted } else { asked.dollars };
        tally.answered += u64::from(is_answered);
        tally.dishonest += u64::from(is_answered && asked.is_dishonest);
        let first = asked.first.map_or(us(DEADLINE_S), |first| first - asked.at);
        // A lie is no answer, however soon it comes.
        if !(is_answered && asked.is_dishonest) {
            tally.first_tokens.push(first.min(us(DEADLINE_S)));
        }
    }

    // Attempts.

    fn first_token(&mut self, number: u32) {
        let now = self.now;
        let attempt = &mut self.attempts[number as usize];
        attempt.stage = Stage::Streaming;
        attempt.first = now;
        let (provider, request, kind) = (attempt.provider, attempt.request, attempt.kind);
        if let Some(flight) = &mut attempt.flight {
            self.policy.first_token(provider, flight, now);
        }
        let asked = &mut self.requests[request as usize];
        if asked.is_over || asked.serving.is_some() {
            // A probe that has shown that it works.
            self.end_probe(number);
            return;
        }
        asked.serving = Some(number);
        asked.first.get_or_insert(now);
        asked.is_dishonest |= self.machines[provider as usize].fault == Fault::Liar;
        let others: Vec<u32> =
            asked.live.iter().copied().filter(|other| *other != number).collect();
        for other in others {
            match (self.attempt(other).kind, kind) {
                (Kind::Probe, _) => continue,
                (Kind::Hedge, _) => self.policy.raced(false),
                (Kind::Main, Kind::Hedge) => self.policy.raced(true),
                _ => {}
            }
            self.give_up(other);
        }
        let attempt = &mut self.attempts[number as usize];
        let decode_s = self.machines[provider as usize].decode_s(attempt.tokens);
        attempt.decode = us(decode_s);
        if attempt.stalls {
            let part = us(decode_s * self.rng.random::<f64>());
            attempt.decode = part.max(1);
            attempt.tokens *= part as f64 / us(decode_s).max(1) as f64;
            self.events.push(now + part + us(STALL_S), Event::Stalled(number));
        } else {
            self.events.push(now + attempt.decode, Event::Done(number));
        }
    }

    fn done(&mut self, number: u32) {
        let attempt = &mut self.attempts[number as usize];
        let (request, provider, tokens) = (attempt.request, attempt.provider, attempt.tokens);
        let prompt_tokens = attempt.prompt_tokens;
        let flight = attempt.flight.take();
        self.leave(number);
        let machine = &self.machines[provider as usize];
        let asked = &mut self.requests[request as usize];
        asked.dollars += machine.dollars(prompt_tokens, tokens);
        if asked.continued > 0 {
            asked.wasted += machine.dollars(prompt_tokens, 0.0);
        }
        asked.left = 0.0;
        if let Some(flight) = flight {
            self.policy.succeeded(provider, flight, &asked.job, tokens, self.now);
        }
        let is_liar = machine.fault == Fault::Liar;
        let audits = &mut self.audits[provider as usize];
        if let Some(is_honest) = audits.answered(is_liar, &mut self.rng) {
            self.policy.audited(provider, is_honest, self.now);
        }
        self.close(request, true);
    }

    /// A probe's first token after another's.
    fn end_probe(&mut self, number: u32) {
        let attempt = &mut self.attempts[number as usize];
        let (request, provider) = (attempt.request, attempt.provider);
        let prompt_tokens = attempt.prompt_tokens;
        let flight = attempt.flight.take();
        self.leave(number);
        let asked = &mut self.requests[request as usize];
        let dollars = self.machines[provider as usize].dollars(prompt_tokens, 1.0);
        waste(asked, dollars, &mut self.tally, self.scenario.warm_up, request);
        if let Some(flight) = flight {
            self.policy.succeeded(provider, flight, &asked.job, 1.0, self.now);
        }
    }

    fn failed(&mut self, number: u32, failure: Failure) {
        let attempt = &mut self.attempts[number as usize];
        let (request, provider, stage) = (attempt.request, attempt.provider, attempt.stage);
        let emitted = attempt.emitted(self.now);
        let (prompt_tokens, flight) = (attempt.prompt_tokens, attempt.flight.take());
        self.leave(number);
        let asked = &mut self.requests[request as usize];
        if let Some(flight) = flight {
            self.policy.failed(provider, flight, failure, self.now);
        }
        let machine = &self.machines[provider as usize];
        if stage == Stage::Streaming {
            // Its tokens are the client's; it is charged for them.
            asked.left = (asked.left - emitted).max(1.0);
            asked.dollars += machine.dollars(prompt_tokens, emitted);
        } else if stage == Stage::Running {
            waste(
                asked,
                machine.dollars(prompt_tokens, 0.0),
                &mut self.tally,
                self.scenario.warm_up,
                request,
            );
        }
        if asked.is_over {
            return;
        }
        if asked.serving == Some(number) {
            asked.serving = None;
        } else if asked.serving.is_some() || !asked.live.is_empty() {
            return;
        }
        self.next(request);
    }

    /// Nothing is under way for it any more.
    fn next(&mut self, request: u32) {
        let asked = &mut self.requests[request as usize];
        let may = if asked.first.is_some() {
            asked.continued += 1;
            P::CONTINUES && asked.continued <= CONTINUATIONS
        } else {
            let is_late = self.now >= asked.at + us(DEADLINE_S);
            asked.asked < ATTEMPTS && !is_late && self.retries.take(self.now / 1_000)
        };
        match may {
            true => self.ask(request),
            false => self.close(request, false),
        }
    }

    fn give_up(&mut self, number: u32) {
        let attempt = &mut self.attempts[number as usize];
        let (request, provider, stage) = (attempt.request, attempt.provider, attempt.stage);
        let (prompt_tokens, flight) = (attempt.prompt_tokens, attempt.flight.take());
        self.leave(number);
        if stage == Stage::Running {
            let asked = &mut self.requests[request as usize];
            let dollars = self.machines[provider as usize].dollars(prompt_tokens, 0.0);
            asked.dollars += dollars;
            asked.wasted += dollars;
        }
        if let Some(flight) = flight {
            self.policy.given_up(provider, flight, self.now);
        }
    }

    fn attempt(&self, number: u32) -> &Attempt<P::Flight> {
        &self.attempts[number as usize]
    }

    fn is_live(&self, number: u32) -> bool {
        self.attempt(number).stage != Stage::Over
    }
}

/// Dollars for nothing; those of a probe may come after its request is over.
fn waste(asked: &mut Request, dollars: f64, tally: &mut Tally, warm_up: usize, request: u32) {
    asked.dollars += dollars;
    asked.wasted += dollars;
    if asked.is_over && request as usize >= warm_up {
        tally.dollars += dollars;
        tally.wasted += dollars;
    }
}

fn index(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
