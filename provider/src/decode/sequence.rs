//! The state of one answer as its tokens are drawn: sampler, grammar, text, count. Who draws them and
//! who hears of them is not known here: a node that writes an answer and one that scores it go the
//! same way through it.

use openapi::chat::FinishReason;
use openapi::usage::{CompletionTokensDetails, Usage};
use std::sync::Arc;

use crate::engine::{Delta, Error, Sampling};
use crate::grammar::{Guide, Mask};
use crate::model::{Model, Prepared};
use crate::sampler::{Judgement, Pick, Sampler};
use crate::text::{Rest, Text, Verdict};

#[derive(Debug)]
pub(crate) struct Sequence {
    sampler: Sampler,
    guide: Option<Guide>,
    text: Text,
    eos: Vec<u32>,
    prompt_tokens: u32,
    max_tokens: u32,
    generated: u32,
}

/// How an answer ends.
#[derive(Debug, PartialEq)]
pub(crate) struct End {
    pub(crate) reason: FinishReason,
    pub(crate) usage: Usage,
    /// Of tokens whose text was never shown.
    pub(crate) ids: Vec<u32>,
}

/// What the grammar lets follow.
struct Follow<'a> {
    mask: Mask,
    eos: &'a [u32],
    may_end: bool,
}

// === impl Sequence ===

impl Sequence {
    /// Takes `prepared` but for its ids. `logprobs`: of each token drawn, with so many others.
    pub(crate) fn new(
        model: &Model,
        prepared: Prepared,
        sampling: Sampling,
        logprobs: Option<u8>,
    ) -> (Self, Vec<u32>) {
        let Prepared { ids, max_tokens, text, guide } = prepared;
        let sequence = Self {
            sampler: Sampler::new(sampling, &ids, logprobs),
            guide,
            text: Text::new(Arc::clone(&model.tokenizer), text),
            eos: model.tokenizer.eos().to_vec(),
            prompt_tokens: u32::try_from(ids.len()).unwrap_or(u32::MAX),
            max_tokens,
            generated: 0,
        };
        (sequence, ids)
    }

    pub(crate) fn prompt_tokens(&self) -> u32 {
        self.prompt_tokens
    }

    pub(crate) fn max_tokens(&self) -> u32 {
        self.max_tokens
    }

    /// How many tokens may still follow.
    pub(crate) fn tokens_left(&self) -> u32 {
        self.max_tokens.saturating_sub(self.generated)
    }

    pub(crate) fn is_constrained(&self) -> bool {
        self.guide.is_some()
    }

    /// Ids that end an answer; never empty.
    pub(crate) fn eos(&self) -> &[u32] {
        &self.eos
    }

    /// Draws the next token. To be [taken](Self::take) next.
    pub(crate) fn draw(&mut self, row: &[f32]) -> Result<Pick, Error> {
        let follow = Follow::of(&mut self.guide, &self.eos)?;
        let allows = follow.as_ref().map(|follow| |id: u32| follow.allows(id));
        let pick = self.sampler.pick(row, allows.as_ref().map(|allows| allows as _));
        let none = || Error::Internal("the model gave no finite logit".to_owned());
        let pick = pick.ok_or_else(none)?;
        self.generated = self.generated.saturating_add(1);
        Ok(pick)
    }

    /// What the next step makes of a token that another one drew. Draws nothing.
    pub(crate) fn judge(&mut self, row: &[f32], id: u32) -> Result<Judgement, Error> {
        let follow = Follow::of(&mut self.guide, &self.eos)?;
        let allows = follow.as_ref().map(|follow| |id: u32| follow.allows(id));
        Ok(self.sampler.judge(row, allows.as_ref().map(|allows| allows as _), id))
    }

    /// A token that was drawn elsewhere, as if it had been drawn here: as [`Self::take`].
    pub(crate) fn replay(
        &mut self,
        id: u32,
        deltas: &mut Vec<Delta>,
    ) -> Result<Option<FinishReason>, Error> {
        self.sampler.replay(id);
        self.generated = self.generated.saturating_add(1);
        self.take(Pick { id, logprob: None }, deltas)
    }

    /// What follows from a token: what can be shown, and why the answer ends with it, if it does.
    pub(crate) fn take(
        &mut self,
        pick: Pick,
        deltas: &mut Vec<Delta>,
    ) -> Result<Option<FinishReason>, Error> {
        let id = pick.id;
        if self.eos.contains(&id) {
            self.text.end(id);
            return Ok(Some(FinishReason::Stop));
        }
        if let Some(guide) = &mut self.guide {
            guide.accept(id)?;
        }
        let verdict = self.text.push(pick, deltas);
        let whole = verdict == Verdict::Stop || self.guide.as_ref().is_some_and(Guide::is_done);
        Ok(match whole {
            true => Some(FinishReason::Stop),
            false if self.generated >= self.max_tokens => Some(FinishReason::Length),
            false => None,
        })
    }

    /// Bytes of text that were taken and not shown so far.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.text.held_bytes()
    }

    /// Ids that leave ahead of their text, see [`Text::early_ids`].
    pub(crate) fn early_ids(&mut self) -> Vec<u32> {
        self.text.early_ids()
    }

    /// No more tokens come: adds what was held back.
    pub(crate) fn finish(&mut self, reason: FinishReason, deltas: &mut Vec<Delta>) -> End {
        let Rest { ids, tool_calls, stopped, reasoning_tokens } = self.text.finish(deltas);
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
        End { reason, usage, ids }
    }
}

// === impl Follow ===

impl<'a> Follow<'a> {
    fn of(guide: &mut Option<Guide>, eos: &'a [u32]) -> Result<Option<Self>, Error> {
        let Some(guide) = guide else { return Ok(None) };
        let mask = guide.mask()?;
        let may_end = eos.iter().any(|eos| mask.allows(*eos));
        Ok(Some(Self { mask, eos, may_end }))
    }

    fn allows(&self, id: u32) -> bool {
        self.mask.allows(id) || self.may_end && self.eos.contains(&id)
    }
}
