//! A chat stream, as the gateway relays it, becomes the stream of a Response's events. Comments pass.
//! The last event is `response.completed`, `.incomplete` or `.failed`; an end without evidence of
//! completion is a failure.

mod sink;

use bytes::Bytes;
use openapi::responses::{Event, Failure, Status};
use serde_json::Value;

use super::chunk::Chunk;
use super::echo::Frame;
use super::turn::{Broken, Turn};
use crate::stream::scan::{Item, Line, Scanner};
use crate::stream::{Role, role};

pub(super) use sink::Sink;

#[derive(Debug)]
pub struct Events {
    scanner: Scanner,
    turn: Turn,
    sink: Sink,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was told yet.
    Waiting,
    Telling,
    /// The last event was told; it was not a failure of the translation.
    Over,
    /// The chat stream is of no more use.
    Broken,
}

// === impl Events ===

impl Events {
    /// `event_bytes_max` bounds one event of the chat stream, `answer_bytes_max` what is kept of all.
    #[must_use]
    pub fn new(frame: Frame, event_bytes_max: usize, answer_bytes_max: usize) -> Self {
        Self {
            scanner: Scanner::new(event_bytes_max),
            turn: Turn::new(frame, answer_bytes_max),
            sink: Sink::printing(),
            state: State::Waiting,
        }
    }

    /// Takes bytes of the chat stream, and returns what the client gets for them. `now`: Unix seconds.
    pub fn push(&mut self, chunk: &[u8], now: i64) -> Bytes {
        let mut at = 0;
        while !self.is_over() {
            match self.scanner.next(chunk, &mut at) {
                Ok(Item::Whole(range)) => {
                    self.event(chunk.get(range).unwrap_or_default(), now);
                }
                Ok(Item::Joined(event)) => self.event(&event, now),
                Ok(Item::LineFeed(_)) => {}
                Ok(Item::Wanting) => break,
                Err(_) => self.break_off(&Broken::Unreadable),
            }
        }
        self.sink.take()
    }

    /// The chat stream ended.
    pub fn finish(&mut self) -> Bytes {
        if !self.is_over() {
            self.break_off(&Broken::Truncated);
        }
        self.sink.take()
    }

    /// Whether nothing more can come of the chat stream, which should be dropped then. After an end in
    /// order its own end is still to be awaited.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Over | State::Broken)
    }

    fn event(&mut self, event: &[u8], now: i64) {
        let (mut data, mut data_lines) = (Vec::new(), 0);
        let mut comments = Vec::new();
        for Line { start, end, .. } in self.scanner.lines() {
            let line = event.get(*start..*end).unwrap_or_default();
            match role(line) {
                Role::Data(value) => {
                    if data_lines > 0 {
                        data.push(b'\n');
                    }
                    data.extend_from_slice(line.get(value..).unwrap_or_default());
                    data_lines += 1;
                }
                Role::Comment => {
                    comments.extend_from_slice(line);
                    comments.push(b'\n');
                }
                Role::ErrorName | Role::Field => {}
            }
        }
        if !comments.is_empty() {
            comments.push(b'\n');
            self.sink.comment(&comments);
        }
        if data_lines == 0 {
            return;
        }
        if let Err(broken) = self.data(&data, now) {
            self.break_off(&broken);
        }
    }

    fn data(&mut self, data: &[u8], now: i64) -> Result<(), Broken> {
        if data == b"[DONE]" {
            self.begin();
            self.turn.complete(now, &mut self.sink)?;
            self.state = State::Over;
            return Ok(());
        }
        let mut chunk = Chunk::read(data).ok_or(Broken::Unreadable)?;
        if let Some(model) = chunk.model.take()
            && self.state == State::Waiting
        {
            self.turn.frame.set_model(model);
        }
        self.begin();
        if let Some(error) = chunk.error() {
            self.turn.fail(failure(error), &mut self.sink);
            self.state = State::Over;
            return Ok(());
        }
        self.turn.take(chunk, &mut self.sink)
    }

    /// The two events before all others.
    fn begin(&mut self) {
        if self.state != State::Waiting {
            return;
        }
        self.state = State::Telling;
        let response = Box::new(self.turn.frame.response(Status::InProgress, Vec::new()));
        let again = response.clone();
        self.sink.emit(|sequence_number| Event::Created { sequence_number, response });
        self.sink.emit(|sequence_number| Event::InProgress { sequence_number, response: again });
    }

    fn break_off(&mut self, why: &Broken) {
        self.begin();
        let failure = Failure { code: "server_error".to_owned(), message: why.to_string() };
        self.turn.fail(failure, &mut self.sink);
        self.state = State::Broken;
    }
}

/// An error of the chat stream in the words of this one. Its codes are a closed list.
fn failure(error: &Value) -> Failure {
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    let code = match text("type") {
        Some("rate_limit_error") => "rate_limit_exceeded",
        Some("invalid_request_error") => "invalid_prompt",
        _ => "server_error",
    };
    let message = text("message").unwrap_or("The provider failed.").to_owned();
    Failure { code: code.to_owned(), message }
}
