//! One answer in the making: a row of logits in, a token out, and the events it makes sent on. This
//! is what runs inside an engine's sampling step; it knows no engine. It never panics and never
//! blocks: the channel holds every event an answer can have.

mod sent;

use openapi::chat::FinishReason;
use openapi::resume::Resume;
use openapi::usage::{CompletionTokensDetails, Usage};
use std::sync::Arc;
use tokio::sync::mpsc;

use crate::counters::Counters;
use crate::engine::{Delta, Error, Event, Sampling};
use crate::grammar::{Guide, Mask};
use crate::model::{Model, Prepared};
use crate::sampler::{Pick, Sampler};
use crate::text::{Rest, Text, Verdict};
use sent::{Sent, mismatch};

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
    sampler: Sampler,
    logprobs: bool,
    guide: Option<Guide>,
    text: Text,
    eos: Vec<u32>,
    prompt_tokens: u32,
    max_tokens: u32,
    generated: u32,
    sent: Sent,
    events: mpsc::Sender<Result<Event, Error>>,
    counters: Arc<Counters>,
    outcome: Option<Outcome>,
}

// === impl Decode ===

impl Decode {
    /// Takes `prepared` but for its ids, which the engine needs.
    pub fn new(
        model: &Model,
        prepared: Prepared,
        sampling: Sampling,
        logprobs: Option<u8>,
        counters: Arc<Counters>,
    ) -> (Self, Vec<u32>, Events) {
        let Prepared { ids, max_tokens, text, guide } = prepared;
        let (events, receiver) = mpsc::channel(events_max(max_tokens));
        let decode = Self {
            sampler: Sampler::new(sampling, &ids, logprobs),
            logprobs: logprobs.is_some(),
            guide,
            text: Text::new(Arc::clone(&model.tokenizer), text),
            eos: model.tokenizer.eos().to_vec(),
            prompt_tokens: u32::try_from(ids.len()).unwrap_or(u32::MAX),
            max_tokens,
            generated: 0,
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
            self.sampler.replay(*id);
            self.generated = self.generated.saturating_add(1);
            let pick = Pick { id: *id, logprob: None };
            self.take(pick).map_err(|_| mismatch("the grammar does not allow its tokens"))?;
        }
        // Text that is held back here may have left there with a later token, which comes again.
        let held = if self.outcome.is_some() { 0 } else { self.text.held_bytes() };
        if self.outcome == Some(Outcome::Failed) || self.sent.bytes() > held {
            return Err(mismatch("its tokens make another text here"));
        }
        Ok(())
    }

    /// How many tokens may still be drawn.
    pub fn tokens_left(&self) -> u32 {
        self.max_tokens.saturating_sub(self.generated)
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
        let mask = self.guide.as_mut().map(Guide::mask).transpose()?;
        let eos = &self.eos;
        let allows = |mask: &Mask, id: u32| {
            mask.allows(id) || eos.contains(&id) && eos.iter().any(|eos| mask.allows(*eos))
        };
        let allowed = mask.as_ref().map(|mask| move |id: u32| allows(mask, id));
        let allowed = allowed.as_ref().map(|allowed| allowed as &dyn Fn(u32) -> bool);
        let pick = self.sampler.pick(row, allowed);
        let none = || Error::Internal("the model gave no finite logit".to_owned());
        let pick = pick.ok_or_else(none)?;
        Counters::add(&self.counters.tokens_generated);
        self.generated = self.generated.saturating_add(1);
        self.take(pick)
    }

    /// What follows from a token.
    fn take(&mut self, pick: Pick) -> Result<Step, Error> {
        let id = pick.id;
        if self.eos.contains(&id) {
            self.text.end(id);
            self.finish(FinishReason::Stop);
            return Ok(Step::Over);
        }
        if let Some(guide) = &mut self.guide {
            guide.accept(id)?;
        }
        let mut deltas = Vec::new();
        let verdict = self.text.push(pick, &mut deltas);
        self.send_all(deltas);
        if self.outcome.is_some() {
            return Ok(Step::Over);
        }
        self.tell_early();
        let whole = verdict == Verdict::Stop || self.guide.as_ref().is_some_and(Guide::is_done);
        if whole {
            self.finish(FinishReason::Stop);
        } else if self.generated >= self.max_tokens {
            self.finish(FinishReason::Length);
        }
        Ok(if self.outcome.is_some() { Step::Over } else { Step::Token(id) })
    }

    fn tell_early(&mut self) {
        if !self.logprobs {
            let ids = self.text.early_ids();
            if !ids.is_empty() {
                self.send_all(vec![Delta { ids, ..Delta::default() }]);
            }
        }
    }

    fn finish(&mut self, reason: FinishReason) {
        let mut deltas = Vec::new();
        let Rest { ids, tool_calls, stopped, reasoning_tokens } = self.text.finish(&mut deltas);
        self.send_all(deltas);
        if self.outcome.is_some() {
            return;
        }
        let mut usage = Usage::new(self.prompt_tokens.into(), self.generated.into());
        if reasoning_tokens > 0 {
            usage.completion_tokens_details = Some(CompletionTokensDetails { reasoning_tokens });
        }
        let reason = match reason {
            FinishReason::Length if stopped => FinishReason::Stop,
            reason => reason,
        };
        let reason = match reason {
            FinishReason::Stop if tool_calls => FinishReason::ToolCalls,
            reason => reason,
        };
        self.send(Ok(Event::Finish { reason, usage, ids }));
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

/// A token shows three pieces at most (the end of reasoning, content, a call); the end of an answer
/// shows what was held back, up to 128 calls, and itself.
fn events_max(max_tokens: u32) -> usize {
    usize::try_from(max_tokens).unwrap_or(usize::MAX / 8).saturating_mul(3).saturating_add(160)
}

#[cfg(test)]
mod tests;
