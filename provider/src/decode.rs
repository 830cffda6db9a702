//! One answer in the making: a row of logits in, a token out, and the events it makes sent on. This
//! is what runs inside an engine's sampling step; it knows no engine. It never panics and never
//! blocks: the channel holds every event an answer can have.

mod sent;
pub(crate) mod sequence;

use openapi::chat::FinishReason;
use openapi::commit::{Claim, TOP, thousandths};
use openapi::resume::Resume;
use std::sync::Arc;
use tokio::sync::mpsc;

use crate::counters::Counters;
use crate::engine::{Delta, Error, Event, Job};
use crate::model::{Model, Prepared};
use crate::sampler::{Logprob, Pick};
use sent::{Sent, mismatch};
use sequence::{End, Sequence};

/// What an answer's caller reads from.
pub type Events = mpsc::Receiver<Result<Event, Error>>;

/// What the engine is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Go on with this token.
    Token(u32),
    /// End the sequence: force a token that ends it.
    Over,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Finished,
    Failed,
    /// The caller has left.
    Cancelled,
}

#[derive(Debug)]
pub struct Decode {
    sequence: Sequence,
    /// As the caller asked for them.
    logprobs: Option<usize>,
    /// Present where evidence is wanted: what is claimed of each token drawn here.
    claims: Option<Vec<Claim>>,
    sent: Sent,
    events: mpsc::Sender<Result<Event, Error>>,
    counters: Arc<Counters>,
    outcome: Option<Outcome>,
}

// === impl Decode ===

impl Decode {
    /// Takes `prepared`, made of this job, but for its ids, which the engine needs.
    pub fn new(
        model: &Model,
        prepared: Prepared,
        job: &Job,
        counters: Arc<Counters>,
    ) -> (Self, Vec<u32>, Events) {
        let logprobs = job.logprobs.map(usize::from);
        let claimed = job.evidence.then_some(TOP);
        let wanted = logprobs.max(claimed).and_then(|wanted| u8::try_from(wanted).ok());
        let (sequence, ids) = Sequence::new(model, prepared, job.sampling.clone(), wanted);
        let (events, receiver) = mpsc::channel(events_max(sequence.max_tokens()));
        let decode = Self {
            sequence,
            logprobs,
            claims: job.evidence.then(Vec::new),
            sent: Sent::default(),
            events,
            counters,
            outcome: None,
        };
        (decode, ids, receiver)
    }

    /// Goes on with an answer that another node began: its tokens are taken as if they had been drawn
    /// here, and of what they make only that is sent which the caller does not have. They may end the
    /// answer. To be called before the first step.
    ///
    /// # Errors
    /// [`Error::Mismatch`]: this would be another answer.
    pub fn resume(&mut self, resume: &Resume) -> Result<(), Error> {
        self.sent = Sent::new(resume);
        for id in &resume.ids {
            if self.outcome.is_some() {
                return Err(mismatch("it ends before the last of its tokens"));
            }
            let mut deltas = Vec::new();
            let end = self.sequence.replay(*id, &mut deltas);
            let end = end.map_err(|_| mismatch("the grammar does not allow its tokens"))?;
            self.tell(deltas, end);
        }
        // Text that is held back here may have left there with a later token, which comes again.
        let held = if self.outcome.is_some() { 0 } else { self.sequence.held_bytes() };
        if self.outcome == Some(Outcome::Failed) || self.sent.bytes() > held {
            return Err(mismatch("its tokens make another text here"));
        }
        Ok(())
    }

    /// How many tokens may still be drawn.
    pub fn tokens_left(&self) -> u32 {
        self.sequence.tokens_left()
    }

    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// A sender that tells when the caller leaves.
    pub fn watch(&self) -> mpsc::Sender<Result<Event, Error>> {
        self.events.clone()
    }

    /// Draws from the row of the next token.
    pub fn step(&mut self, row: &[f32]) -> Step {
        if self.outcome.is_none() && self.events.is_closed() {
            self.outcome = Some(Outcome::Cancelled);
        }
        if self.outcome.is_some() {
            return Step::Over;
        }
        match self.draw(row) {
            Ok(step) => step,
            Err(error) => {
                self.fail(error);
                Step::Over
            }
        }
    }

    /// Ends the answer with an error, unless it has ended.
    pub fn fail(&mut self, error: Error) {
        if self.outcome.is_none() {
            self.outcome = Some(Outcome::Failed);
            self.send(Err(error));
        }
    }

    /// The engine ended the sequence by itself.
    pub fn conclude(&mut self, reason: FinishReason) {
        if self.outcome.is_none() {
            self.finish(reason);
        }
    }

    fn draw(&mut self, row: &[f32]) -> Result<Step, Error> {
        let mut pick = self.sequence.draw(row)?;
        Counters::add(&self.counters.tokens_generated);
        if let (Some(claims), Some(logprob)) = (&mut self.claims, &pick.logprob) {
            claims.push(claim(logprob));
        }
        self.ask(&mut pick);
        let id = pick.id;
        let mut deltas = Vec::new();
        let end = self.sequence.take(pick, &mut deltas)?;
        self.tell(deltas, end);
        Ok(if self.outcome.is_some() { Step::Over } else { Step::Token(id) })
    }

    /// Leaves of what was computed what the caller asked for.
    fn ask(&self, pick: &mut Pick) {
        match (self.logprobs, &mut pick.logprob) {
            (Some(count), Some(logprob)) => logprob.top.truncate(count),
            (None, logprob) => *logprob = None,
            (Some(_), None) => {}
        }
    }

    /// What came of a token.
    fn tell(&mut self, deltas: Vec<Delta>, end: Option<FinishReason>) {
        self.send_all(deltas);
        match end {
            _ if self.outcome.is_some() => {}
            Some(reason) => self.finish(reason),
            None if self.logprobs.is_none() => {
                let ids = self.sequence.early_ids();
                if !ids.is_empty() {
                    self.send_all(vec![Delta { ids, ..Delta::default() }]);
                }
            }
            None => {}
        }
    }

    fn finish(&mut self, reason: FinishReason) {
        let mut deltas = Vec::new();
        let End { reason, usage, ids } = self.sequence.finish(reason, &mut deltas);
        self.send_all(deltas);
        if self.outcome.is_some() {
            return;
        }
        let claims = self.claims.take().unwrap_or_default();
        self.send(Ok(Event::Finish { reason, usage, ids, claims }));
        // A send that failed has said why.
        self.outcome.get_or_insert(Outcome::Finished);
    }

    fn send_all(&mut self, deltas: Vec<Delta>) {
        for delta in deltas {
            match self.sent.strip(delta) {
                Ok(Some(delta)) => self.send(Ok(Event::Delta(delta))),
                Ok(None) => {}
                Err(error) => return self.fail(error),
            }
        }
    }

    fn send(&mut self, event: Result<Event, Error>) {
        match self.events.try_send(event) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => {
                self.outcome.get_or_insert(Outcome::Cancelled);
            }
            // Cannot be while `events_max` holds; then the answer breaks off rather than skip a piece.
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.outcome.get_or_insert(Outcome::Failed);
            }
        }
    }
}

/// What a node stands by. Of the row's likeliest tokens, the first [`TOP`].
fn claim(logprob: &Logprob) -> Claim {
    let top = logprob.top.iter().take(TOP).map(|(id, lp)| (*id, thousandths(*lp)));
    Claim { lp: thousandths(logprob.value), top: top.collect() }
}

/// A token shows three pieces at most (the end of reasoning, content, a call); the end of an answer
/// shows what was held back, up to 128 calls, and itself.
fn events_max(max_tokens: u32) -> usize {
    usize::try_from(max_tokens).unwrap_or(usize::MAX / 8).saturating_mul(3).saturating_add(160)
}

#[cfg(test)]
mod tests;
