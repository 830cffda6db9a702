//! Reads the decoded text of an answer from left to right: reasoning, content, tool calls, stop
//! strings. Holds back what may still become a mark.

use super::{Options, tools};
use crate::engine::Delta;

const THINK: &str = "<think>";
const THINK_END: &str = "</think>";
const HERMES: &str = "<tool_call>";
const HERMES_END: &str = "</tool_call>";
const MISTRAL: &str = "[TOOL_CALLS]";
const LLAMA: &str = "<|python_tag|>";
/// Written between the parts of a Mistral call.
const ARGS: &str = "[ARGS]";
const OPENINGS: [&str; 3] = [HERMES, MISTRAL, LLAMA];

/// Special tokens that are read as text.
pub(super) fn is_mark(token: &str) -> bool {
    OPENINGS.contains(&token) || [HERMES_END, ARGS, THINK, THINK_END].contains(&token)
}

/// What the text says about going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    GoOn,
    /// A stop string was reached, or the one tool call allowed is whole: the answer has ended.
    Stop,
}

/// A piece to show, and where in the text it ends.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) delta: Delta,
    pub(super) end: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Before the answer, or behind reasoning or a tool call: white space decides nothing yet.
    Start,
    Thinking,
    Content,
    /// Inside `<tool_call>`.
    Hermes,
    /// Behind `[TOOL_CALLS]` or `<|python_tag|>`, or in a bare JSON object: to the end of the answer.
    ToEnd,
    Over,
}

#[derive(Debug)]
pub(super) struct Scan {
    options: Options,
    /// Text that has not left, from `base` on.
    text: String,
    base: u64,
    mode: Mode,
    /// Reasoning may still begin.
    may_think: bool,
    /// Nothing has been shown of this part; its white space is dropped.
    bare_start: bool,
    calls: u32,
}

// === impl Scan ===

impl Scan {
    pub(super) fn new(options: Options) -> Self {
        let mode = match (options.thinking, options.reasoning || options.calls.is_some()) {
            (true, _) => Mode::Thinking,
            (false, true) => Mode::Start,
            (false, false) => Mode::Content,
        };
        let may_think = options.reasoning && !options.thinking;
        let bare_start = options.thinking;
        Self { options, text: String::new(), base: 0, mode, may_think, bare_start, calls: 0 }
    }

    pub(super) fn is_thinking(&self) -> bool {
        self.mode == Mode::Thinking
    }

    pub(super) fn has_calls(&self) -> bool {
        self.calls > 0
    }

    pub(super) fn held_bytes(&self) -> u64 {
        self.text.len() as u64
    }

    pub(super) fn push(&mut self, text: &str, found: &mut Vec<Found>) -> Verdict {
        self.text.push_str(text);
        loop {
            let before = (self.mode, self.text.len());
            match self.mode {
                Mode::Start => self.start(),
                Mode::Thinking => self.thinking(found),
                Mode::Content => self.content(found),
                Mode::Hermes => self.hermes(found),
                Mode::ToEnd => {}
                Mode::Over => return Verdict::Stop,
            }
            if before == (self.mode, self.text.len()) {
                return Verdict::GoOn;
            }
        }
    }

    /// The answer has ended: whatever is held back leaves, a call that is whole as a call. `Stop` when
    /// what was held back holds a stop string.
    pub(super) fn finish(&mut self, found: &mut Vec<Found>) -> Verdict {
        let length = self.text.len();
        match self.mode {
            Mode::Over => {}
            Mode::Thinking => {
                let end = self.text.trim_end().len();
                self.show(end, Kind::Reasoning, found);
            }
            Mode::Start => {
                if self.bare_start {
                    self.skip(length - self.text.trim_start().len());
                }
                self.show_content(self.text.len(), found);
            }
            Mode::Content => self.show(length, Kind::Content, found),
            Mode::Hermes | Mode::ToEnd => {
                if !self.take_calls(length, found) {
                    self.show_content(length, found);
                }
            }
        }
        match std::mem::replace(&mut self.mode, Mode::Over) {
            Mode::Over => Verdict::Stop,
            _ => Verdict::GoOn,
        }
    }

    fn start(&mut self) {
        let rest = self.text.trim_start();
        let blank = self.text.len() - rest.len();
        let tools = self.options.calls.is_some();
        let opens = |mark: &str| mark.starts_with(rest);
        if self.may_think && rest.starts_with(THINK) {
            self.skip(blank + THINK.len());
            (self.mode, self.may_think, self.bare_start) = (Mode::Thinking, false, true);
        } else if rest.is_empty()
            || self.may_think && opens(THINK)
            || tools && OPENINGS.iter().any(|mark| opens(mark))
        {
            // Not decided yet.
        } else if tools && OPENINGS.iter().any(|mark| rest.starts_with(mark)) {
            self.skip(blank);
            self.mode = Mode::Content;
        } else if let (Some(calls), true) = (&self.options.calls, rest.starts_with('{')) {
            self.mode = match tools::may_be_bare(calls, rest) {
                Some(true) => Mode::ToEnd,
                Some(false) => Mode::Content,
                None => Mode::Start,
            };
        } else {
            if self.bare_start {
                self.skip(blank);
            }
            self.mode = Mode::Content;
        }
    }

    fn thinking(&mut self, found: &mut Vec<Found>) {
        if self.bare_start {
            let blank = self.text.len() - self.text.trim_start().len();
            self.skip(blank);
            self.bare_start = self.text.is_empty();
        }
        if let Some(at) = self.text.find(THINK_END) {
            let end = self.text.get(..at).map_or(0, |text| text.trim_end().len());
            self.show(end, Kind::Reasoning, found);
            self.skip(at - end + THINK_END.len());
            (self.mode, self.bare_start) = (Mode::Start, true);
            return;
        }
        let open = self.text.len() - held(&self.text, &[THINK_END]);
        let end = self.text.get(..open).map_or(0, |text| text.trim_end().len());
        self.show(end, Kind::Reasoning, found);
    }

    fn content(&mut self, found: &mut Vec<Found>) {
        let stops: Vec<&str> = self.options.stop.iter().map(String::as_str).collect();
        let marks: &[&str] = if self.options.calls.is_some() { &OPENINGS } else { &[] };
        let first = |marks: &[&str]| {
            let at = marks.iter().filter_map(|mark| Some((self.text.find(mark)?, mark.len())));
            at.min_by_key(|(at, _)| *at)
        };
        let (stop, mark) = (first(&stops), first(marks));
        match (stop, mark) {
            (Some((at, _)), mark) if mark.is_none_or(|(mark, _)| at <= mark) => {
                self.show(at, Kind::Content, found);
                self.mode = Mode::Over;
            }
            (_, Some((at, _))) => {
                self.show(at, Kind::Content, found);
                self.mode = if self.text.starts_with(HERMES) { Mode::Hermes } else { Mode::ToEnd };
            }
            _ => {
                let holds = stops.iter().chain(marks).copied().collect::<Vec<_>>();
                let end = self.text.len() - held(&self.text, &holds);
                self.show(end, Kind::Content, found);
            }
        }
    }

    fn hermes(&mut self, found: &mut Vec<Found>) {
        let Some(at) = self.text.find(HERMES_END) else { return };
        let end = at + HERMES_END.len();
        if self.take_calls(end, found) {
            let parallel = self.options.calls.as_ref().is_some_and(|calls| calls.parallel);
            self.mode = if parallel { Mode::Start } else { Mode::Over };
            self.bare_start = true;
        } else {
            self.show_content(end, found);
            if self.mode == Mode::Hermes {
                self.mode = Mode::Content;
            }
        }
    }

    /// Reads the first `end` bytes as calls; `false` leaves everything as it was.
    fn take_calls(&mut self, end: usize, found: &mut Vec<Found>) -> bool {
        let Some(options) = &self.options.calls else { return false };
        let Some(deltas) =
            tools::parse(options, self.text.get(..end).unwrap_or_default(), self.calls)
        else {
            return false;
        };
        let at = self.base.saturating_add(end as u64);
        for call in deltas {
            self.calls += 1;
            let delta = Delta { tool_call: Some(call), ..Delta::default() };
            found.push(Found { delta, end: at });
        }
        self.skip(end);
        true
    }

    /// Text that turned out to be no call: content, and as content it may hold a stop string.
    fn show_content(&mut self, end: usize, found: &mut Vec<Found>) {
        let text = self.text.get(..end).unwrap_or_default();
        let stop = self.options.stop.iter().filter_map(|stop| text.find(stop.as_str())).min();
        self.show(stop.unwrap_or(end), Kind::Content, found);
        if stop.is_some() {
            self.mode = Mode::Over;
        }
    }

    fn show(&mut self, length: usize, kind: Kind, found: &mut Vec<Found>) {
        if length == 0 {
            return;
        }
        let text: String = self.text.drain(..length).collect();
        self.base = self.base.saturating_add(length as u64);
        let delta = match kind {
            Kind::Content => Delta { content: Some(text), ..Delta::default() },
            Kind::Reasoning => Delta { reasoning: Some(text), ..Delta::default() },
        };
        found.push(Found { delta, end: self.base });
    }

    fn skip(&mut self, length: usize) {
        self.text.drain(..length);
        self.base = self.base.saturating_add(length as u64);
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Content,
    Reasoning,
}

/// Bytes at the end of `text` that may be the start of one of the marks.
fn held(text: &str, marks: &[&str]) -> usize {
    let longest = marks.iter().map(|mark| mark.len()).max().unwrap_or(1) - 1;
    let from = text.len().saturating_sub(longest);
    (from..text.len())
        .filter_map(|at| text.get(at..))
        .find(|tail| marks.iter().any(|mark| mark.starts_with(tail)))
        .map_or(0, str::len)
}
