//! One answer in the making: chat deltas in, the items of a Response out, and on the way the events
//! that tell of them. A whole answer is one delta and tells nobody. Text and reasoning follow one
//! another; calls may interleave, and stay open until the end.

mod item;

use openapi::responses::{
    Event, Failure, IncompleteDetails, IncompleteReason, Item, Logprob, Response, Status, Usage,
};

use serde_json::value::RawValue;

use super::chunk::{Call, Chunk};
use super::echo::Frame;
use super::events::Sink;
use super::print::printed_bytes;
use super::text::{Joiner, Lane};
use item::Said;

/// Of one answer; more is a provider out of its mind.
const CALLS_MAX: usize = 1024;
/// What a piece takes in memory beside its text, roughly.
const PIECE_BYTES: usize = 128;

/// Why a chat answer cannot be told as a Response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("The provider's answer could not be read.")]
    Unreadable,
    #[error("The provider's answer ended before it was complete.")]
    Truncated,
    #[error("The provider's answer is longer than {limit_bytes} bytes.")]
    TooLong { limit_bytes: usize },
    #[error("The provider's answer calls more than {CALLS_MAX} functions.")]
    TooManyCalls,
}

#[derive(Debug)]
pub(super) struct Turn {
    pub(super) frame: Frame,
    slots: Vec<Slot>,
    /// The text or reasoning under way, by its place.
    speaking: Option<usize>,
    calls: Vec<OpenCall>,
    joiner: Joiner,
    finish: Option<Finish>,
    usage: Option<Usage>,
    bytes: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Slot {
    item: Item,
    done: bool,
}

/// A call, announced once its function is named.
#[derive(Debug)]
struct OpenCall {
    /// The provider's number.
    index: u32,
    id: Option<String>,
    /// Arguments that came before the name.
    early: String,
    place: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finish {
    Whole,
    Short(IncompleteReason),
}

// === impl Turn ===

impl Turn {
    /// `bytes_max` bounds what is kept of the answer, as JSON: that is how it goes out again.
    pub(super) fn new(frame: Frame, bytes_max: usize) -> Self {
        Self {
            frame,
            slots: Vec::new(),
            speaking: None,
            calls: Vec::new(),
            joiner: Joiner::default(),
            finish: None,
            usage: None,
            bytes: 0,
            bytes_max,
        }
    }

    /// Takes one chunk, or a whole answer.
    pub(super) fn take(&mut self, mut chunk: Chunk, sink: &mut Sink) -> Result<(), Broken> {
        if let Some(usage) = chunk.usage() {
            self.usage = Some(usage);
        }
        if let Some(tier) = chunk.service_tier() {
            self.frame.set_service_tier(tier.to_owned());
        }
        if let Some(explanation) = chunk.quorate.take() {
            self.frame.set_quorate(explanation);
        }
        // A request has no `n`: there is one choice.
        let choices = chunk.choices.take().unwrap_or_default();
        for mut choice in choices.into_iter().filter(|choice| choice.index == 0) {
            let logprobs = choice.take_logprobs();
            let mut delta = choice.take_delta();
            let text = delta.take_reasoning().unwrap_or_default();
            let text = self.joiner.join(Lane::Reasoning, text);
            if !text.is_empty() {
                self.say(Said::Reasoning, &text, Vec::new(), sink)?;
            }
            let text = self.joiner.join(Lane::Text, delta.content.unwrap_or_default());
            if !text.is_empty() || !logprobs.is_empty() {
                self.say(Said::Text, &text, logprobs, sink)?;
            }
            let text = self.joiner.join(Lane::Refusal, delta.refusal.unwrap_or_default());
            if !text.is_empty() {
                self.say(Said::Refusal, &text, Vec::new(), sink)?;
            }
            for (number, call) in (0u32..).zip(delta.tool_calls.unwrap_or_default()) {
                self.call(number, call, sink)?;
            }
            if let Some(reason) = choice.finish_reason {
                self.finish = Some(Finish::read(&reason));
            }
        }
        Ok(())
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Broken> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.bytes_max {
            return Err(Broken::TooLong { limit_bytes: self.bytes_max });
        }
        Ok(())
    }

    fn say(
        &mut self,
        said: Said,
        delta: &str,
        logprobs: Vec<Logprob>,
        sink: &mut Sink,
    ) -> Result<(), Broken> {
        self.grow(printed_bytes(delta) + logprobs.iter().map(logprob_bytes).sum::<usize>())?;
        let place = match self.speaking {
            Some(place) if self.slots.get(place).is_some_and(|slot| said.fits(&slot.item)) => place,
            _ => {
                self.fall_silent(Status::Completed, sink);
                let place = self.slots.len();
                self.grow(PIECE_BYTES)?;
                self.announce(said.item(self.frame.base(), place), sink);
                self.speaking = Some(place);
                place
            }
        };
        let Some(slot) = self.slots.get_mut(place) else { return Ok(()) };
        if !said.continues(&slot.item) {
            item::close_part(&slot.item, place, sink);
            item::open_part(&mut slot.item, said, place, sink);
        }
        item::append(&mut slot.item, delta, &logprobs);
        item::tell(&slot.item, said, place, delta, logprobs, sink);
        Ok(())
    }

    /// Ends the text or reasoning under way.
    fn fall_silent(&mut self, status: Status, sink: &mut Sink) {
        if let Some(place) = self.speaking.take() {
            self.close(place, status, sink);
        }
    }

    fn announce(&mut self, item: Item, sink: &mut Sink) {
        let output_index = self.slots.len();
        sink.emit(|sequence_number| Event::OutputItemAdded {
            sequence_number,
            output_index,
            item: item.clone(),
        });
        self.slots.push(Slot { item, done: false });
    }

    fn close(&mut self, place: usize, status: Status, sink: &mut Sink) {
        let Some(slot) = self.slots.get_mut(place).filter(|slot| !slot.done) else { return };
        item::close_part(&slot.item, place, sink);
        item::set_status(&mut slot.item, status);
        slot.done = true;
        sink.emit(|sequence_number| Event::OutputItemDone {
            sequence_number,
            output_index: place,
            item: slot.item.clone(),
        });
    }

    fn call(&mut self, number: u32, call: Call, sink: &mut Sink) -> Result<(), Broken> {
        let index = call.index.unwrap_or(number);
        let function = call.function.unwrap_or_default();
        let arguments = function.arguments.unwrap_or_default();
        let arguments = self.joiner.join(Lane::Arguments(index), arguments);
        let name = function.name.filter(|name| !name.is_empty());
        let id = call.id.filter(|id| !id.is_empty());
        self.grow(id.as_deref().map_or(0, printed_bytes))?;
        self.grow(printed_bytes(&arguments) + name.as_deref().map_or(0, printed_bytes))?;
        let known = self.calls.iter().position(|open| open.index == index);
        let at = known.unwrap_or(self.calls.len());
        if known.is_none() {
            if self.calls.len() == CALLS_MAX {
                return Err(Broken::TooManyCalls);
            }
            self.grow(PIECE_BYTES)?;
            self.fall_silent(Status::Completed, sink);
            self.calls.push(OpenCall { index, id: None, early: String::new(), place: None });
        }
        let Some(open) = self.calls.get_mut(at) else { return Ok(()) };
        if open.id.is_none() {
            open.id = id;
        }
        let Some(place) = open.place else {
            open.early.push_str(&arguments);
            if let Some(name) = name {
                self.name_call(at, name, sink);
            }
            return Ok(());
        };
        self.argue(place, &arguments, sink);
        Ok(())
    }

    /// Announces a call.
    fn name_call(&mut self, at: usize, name: String, sink: &mut Sink) {
        let place = self.slots.len();
        let Some(open) = self.calls.get_mut(at) else { return };
        open.place = Some(place);
        let base = self.frame.base();
        let call_id = open.id.take().unwrap_or_else(|| format!("call_{base}_{place}"));
        let early = std::mem::take(&mut open.early);
        let item = Item::FunctionCall {
            id: format!("fc_{base}_{place}"),
            call_id,
            name,
            arguments: String::new(),
            status: Status::InProgress,
        };
        self.announce(item, sink);
        self.argue(place, &early, sink);
    }

    fn argue(&mut self, place: usize, delta: &str, sink: &mut Sink) {
        let Some(slot) = self.slots.get_mut(place).filter(|_| !delta.is_empty()) else { return };
        let Item::FunctionCall { id, arguments, .. } = &mut slot.item else { return };
        arguments.push_str(delta);
        sink.emit(|sequence_number| Event::ArgumentsDelta {
            sequence_number,
            item_id: id.clone(),
            output_index: place,
            delta: delta.to_owned(),
        });
    }

    /// The answer is there: ends what is open, and tells of the whole.
    pub(super) fn complete(&mut self, now: i64, sink: &mut Sink) -> Result<Response, Broken> {
        let finish = self.finish.ok_or(Broken::Truncated)?;
        for at in 0..self.calls.len() {
            if self.calls.get(at).is_some_and(|call| call.place.is_none()) {
                self.name_call(at, String::new(), sink);
            }
        }
        let is_silent = self.slots.iter().all(|slot| matches!(slot.item, Item::Reasoning { .. }));
        if finish == Finish::Whole && is_silent {
            self.say(Said::Text, "", Vec::new(), sink)?;
        }
        // Of what is open, the last is what was cut.
        let last = self.slots.iter().rposition(|slot| !slot.done);
        for place in 0..self.slots.len() {
            let is_cut = finish != Finish::Whole && Some(place) == last;
            let status = if is_cut { Status::Incomplete } else { Status::Completed };
            self.close(place, status, sink);
        }
        let (status, reason) = match finish {
            Finish::Whole => (Status::Completed, None),
            Finish::Short(reason) => (Status::Incomplete, Some(reason)),
        };
        let mut response = self.response(status);
        response.incomplete_details = reason.map(|reason| IncompleteDetails { reason });
        response.completed_at = (finish == Finish::Whole).then_some(now);
        sink.emit(|sequence_number| {
            let response = Box::new(response.clone());
            match finish {
                Finish::Whole => Event::Completed { sequence_number, response },
                Finish::Short(_) => Event::Incomplete { sequence_number, response },
            }
        });
        Ok(response)
    }

    /// There will be no more. What was said so far stays, as incomplete.
    pub(super) fn fail(&mut self, failure: Failure, sink: &mut Sink) {
        for slot in self.slots.iter_mut().filter(|slot| !slot.done) {
            item::set_status(&mut slot.item, Status::Incomplete);
        }
        let mut response = Box::new(self.response(Status::Failed));
        response.error = Some(failure);
        sink.emit(|sequence_number| Event::Failed { sequence_number, response });
    }

    fn response(&mut self, status: Status) -> Response {
        let output = self.slots.iter().map(|slot| slot.item.clone()).collect();
        Response { usage: self.usage, ..self.frame.response(status, output) }
    }
}

/// What a token and its alternatives take, about.
fn logprob_bytes(token: &Logprob) -> usize {
    // Their bytes are printed as numbers.
    let bytes = |text: &str, bytes: &[u8], logprob: &RawValue| {
        printed_bytes(text) + 4 * bytes.len() + logprob.get().len() + PIECE_BYTES
    };
    let rivals = token.top_logprobs.iter();
    let rivals: usize = rivals.map(|t| bytes(&t.token, &t.bytes, &t.logprob)).sum();
    rivals + bytes(&token.token, &token.bytes, &token.logprob)
}

// === impl Finish ===

impl Finish {
    fn read(reason: &str) -> Self {
        match reason {
            "length" => Self::Short(IncompleteReason::MaxOutputTokens),
            "content_filter" => Self::Short(IncompleteReason::ContentFilter),
            _ => Self::Whole,
        }
    }
}
