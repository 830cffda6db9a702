//! A request and its attempts.

use super::{Job, Us};

#[derive(Debug)]
pub(super) struct Request {
    pub(super) job: Job,
    pub(super) at: Us,
    pub(super) tried: Vec<u32>,
    /// Attempts under way.
    pub(super) live: Vec<u32>,
    pub(super) asked: u32,
    pub(super) continued: u32,
    /// The attempt whose tokens the client gets.
    pub(super) serving: Option<u32>,
    pub(super) first: Option<Us>,
    /// Tokens of the answer that the client has not got.
    pub(super) left: f64,
    pub(super) is_over: bool,
    /// 429: there was no room in time.
    pub(super) is_shed: bool,
    pub(super) is_dishonest: bool,
    pub(super) extra: u64,
    pub(super) dollars: f64,
    pub(super) wasted: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Main,
    Hedge,
    Probe,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not begun, or refused.
    Waiting,
    Running,
    Streaming,
    Over,
}

#[derive(Debug)]
pub(super) struct Attempt<F> {
    pub(super) request: u32,
    pub(super) provider: u32,
    /// Until it is over.
    pub(super) flight: Option<F>,
    pub(super) kind: Kind,
    pub(super) stage: Stage,
    pub(super) prompt_tokens: f64,
    /// Tokens that it is to make.
    pub(super) tokens: f64,
    pub(super) began: Us,
    pub(super) first: Us,
    pub(super) decode: Us,
    pub(super) stalls: bool,
}

// === impl Request ===

impl Request {
    pub(super) fn new(job: Job, at: Us) -> Self {
        Self {
            job,
            at,
            tried: Vec::new(),
            live: Vec::new(),
            asked: 0,
            continued: 0,
            serving: None,
            first: None,
            left: job.answer_tokens,
            is_over: false,
            is_shed: false,
            is_dishonest: false,
            extra: 0,
            dollars: 0.0,
            wasted: 0.0,
        }
    }
}

// === impl Attempt ===

impl<F> Attempt<F> {
    /// Tokens that have come by now.
    pub(super) fn emitted(&self, now: Us) -> f64 {
        if self.stage != Stage::Streaming {
            return 0.0;
        }
        let part = now.saturating_sub(self.first) as f64 / self.decode.max(1) as f64;
        (self.tokens * part.min(1.0)).floor()
    }
}
