//! From drawn ids to the pieces of an answer: text by incremental detokenisation, stop strings,
//! reasoning split off, tool calls parsed. Each piece carries the ids it was made from, and no text
//! ever leaves before its ids. Draws nothing, sends nothing.
//!
//! A token's text may be held back: a character whose bytes are not all there, a tail that may
//! become a stop string or a mark, white space before an answer, a tool call. What is held back is
//! bounded by the answer itself. Stop strings are looked for in content, not in reasoning or in tool
//! calls.

mod characters;
mod scan;
mod tools;

use openapi::chat::{TokenLogprob, TopLogprob};
use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::Delta;
use crate::sampler::Pick;
use crate::tokenizer::Tokenizer;
use characters::Characters;
pub use scan::Verdict;
use scan::{Found, Scan};
pub use tools::Calls;

/// So many tokens without text are told by their ids.
const EARLY_IDS: usize = 8;

/// How one answer is read.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// At most 4, none empty.
    pub stop: Vec<String>,
    /// Whether `<think>` splits off reasoning: chats, not raw completions.
    pub reasoning: bool,
    /// The prompt ended inside `<think>`.
    pub thinking: bool,
    /// Present when the request has tools.
    pub calls: Option<Calls>,
}

/// The text of one answer in the making.
#[derive(Debug)]
pub struct Text {
    tokenizer: Arc<Tokenizer>,
    characters: Characters,
    scan: Scan,
    /// Tokens whose ids have not left yet, in order.
    waiting: VecDeque<Waiting>,
    /// Bytes of text decoded so far.
    decoded: u64,
    reasoning_tokens: u64,
}

#[derive(Debug)]
struct Waiting {
    id: u32,
    /// Where its text begins.
    start: u64,
    logprob: Option<TokenLogprob>,
    /// Its id has left, ahead of its text.
    told: bool,
}

/// What is left when an answer has ended.
#[derive(Debug, PartialEq)]
pub struct Rest {
    /// Ids whose text was never shown.
    pub ids: Vec<u32>,
    pub tool_calls: bool,
    /// A stop string was in what was held back, or the answer had stopped before.
    pub stopped: bool,
    pub reasoning_tokens: u64,
}

// === impl Text ===

impl Text {
    pub fn new(tokenizer: Arc<Tokenizer>, options: Options) -> Self {
        Self {
            tokenizer,
            characters: Characters::default(),
            scan: Scan::new(options),
            waiting: VecDeque::new(),
            decoded: 0,
            reasoning_tokens: 0,
        }
    }

    /// Takes a token; adds what can be shown now.
    pub fn push(&mut self, pick: Pick, deltas: &mut Vec<Delta>) -> Verdict {
        let Pick { id, logprob } = pick;
        let tokenizer = Arc::clone(&self.tokenizer);
        let (bytes, shown) = visible(&tokenizer, id);
        let logprob = logprob.filter(|_| shown).map(|logprob| self.named(id, &logprob));
        self.waiting.push_back(Waiting { id, start: self.decoded, logprob, told: false });
        if self.scan.is_thinking() {
            self.reasoning_tokens += 1;
        }
        let text = self.characters.push(if shown { bytes } else { &[] });
        self.decoded = self.decoded.saturating_add(text.len() as u64);
        let mut found = Vec::new();
        let verdict = self.scan.push(&text, &mut found);
        self.show(found, deltas);
        verdict
    }

    /// Bytes of text that were taken and not shown so far.
    pub fn held_bytes(&self) -> u64 {
        self.scan.held_bytes()
    }

    /// Ids whose text is held back for long (a tool call's): they leave ahead of it, so that the work is
    /// seen and is not lost with this node. Log-probabilities leave with their text, so not for answers
    /// that have any.
    pub fn early_ids(&mut self) -> Vec<u32> {
        let untold = || self.waiting.iter().rev().take_while(|token| !token.told).count();
        if self.waiting.len() < EARLY_IDS || untold() < EARLY_IDS {
            return Vec::new();
        }
        let untold = self.waiting.iter_mut().filter(|token| !token.told);
        untold.map(|token| (token.told = true, token.id).1).collect()
    }

    /// A token that ends the answer and has no text.
    pub fn end(&mut self, id: u32) {
        self.waiting.push_back(Waiting { id, start: u64::MAX, logprob: None, told: false });
    }

    /// No more tokens come: adds what was held back. A character that is not whole is dropped.
    pub fn finish(&mut self, deltas: &mut Vec<Delta>) -> Rest {
        let mut found = Vec::new();
        let stopped = self.scan.finish(&mut found) == Verdict::Stop;
        self.show(found, deltas);
        Rest {
            stopped,
            ids: self.waiting.drain(..).filter(|token| !token.told).map(|token| token.id).collect(),
            tool_calls: self.scan.has_calls(),
            reasoning_tokens: self.reasoning_tokens,
        }
    }

    fn show(&mut self, found: Vec<Found>, deltas: &mut Vec<Delta>) {
        for Found { mut delta, end } in found {
            while let Some(token) = self.waiting.pop_front_if(|token| token.start < end) {
                delta.ids.extend((!token.told).then_some(token.id));
                delta.logprobs.extend(token.logprob);
            }
            deltas.push(delta);
        }
    }

    fn named(&self, id: u32, logprob: &crate::sampler::Logprob) -> TokenLogprob {
        let name = |id: u32| {
            let bytes = self.tokenizer.piece(id).map(|piece| piece.bytes.to_vec());
            let bytes = bytes.unwrap_or_default();
            (String::from_utf8_lossy(&bytes).into_owned(), Some(bytes))
        };
        let (token, bytes) = name(id);
        let top = logprob.top.iter().map(|(id, logprob)| {
            let (token, bytes) = name(*id);
            TopLogprob { token, logprob: *logprob, bytes }
        });
        TokenLogprob { token, logprob: logprob.value, bytes, top_logprobs: top.collect() }
    }
}

/// The bytes of an id, and whether they are text. Special tokens are not, but for the marks of tool
/// calls, which some models write as special tokens.
fn visible(tokenizer: &Tokenizer, id: u32) -> (&[u8], bool) {
    let Some(piece) = tokenizer.piece(id) else { return (&[], false) };
    let mark = || std::str::from_utf8(&piece.bytes).is_ok_and(scan::is_mark);
    (&piece.bytes, !piece.special || mark())
}

#[cfg(test)]
mod tests;
