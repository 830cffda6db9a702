//! The JSON of an event: a failure, a chunk with choices, usage alone, or nothing for the client.

use super::{Reader, Verdict};
use crate::json::{Kind, Span};
use crate::stream::Error;
use crate::stream::error::ProviderError;
use crate::stream::mend::Failed;
use crate::stream::seam::{Behind, Joint};
use crate::stream::shape::{Name, Piece, Shape};
use crate::stream::usage::{Ledger, is_object};

impl Reader {
    /// Reads the JSON of an event and leaves its edits in `json_edits`; `None` where it is malformed.
    pub(super) fn chunk(
        &mut self,
        json: &[u8],
        named_error: bool,
    ) -> Result<Option<Verdict>, Error> {
        self.json_edits.clear();
        if self.shape.read(json).is_err() {
            return if named_error {
                Err(Self::provider_error(ProviderError::read(json)))
            } else {
                Ok(None)
            };
        }
        if !self.shape.repeated {
            // What lies before `choices` is new, and this event may be dropped before it is mended.
            self.tag.unsettle();
        }
        if let Some(error) = failure(&self.shape, json, named_error) {
            return Err(Self::provider_error(error));
        }
        if !self.choices_fit() {
            return Ok(None);
        }
        let usage = self.usage.note(json, &self.shape.members);
        self.progress.usage = usage.or(self.progress.usage);
        if !self.shape.has_choices {
            return Ok(Some(Verdict::Drop));
        }
        let usage_alone =
            self.shape.choices().is_empty() && self.shape.members.iter().any(is_object);
        let mut again = 0;
        if self.joint.is_open()
            && !usage_alone
            && let Some(choice) = self.shape.choices().first()
        {
            match self.joint.judge(json, choice) {
                Behind::Nothing => return Ok(Some(Verdict::Drop)),
                Behind::News { again: bytes } => again = bytes,
            }
            Joint::mend(json, choice, again, &mut self.json_edits);
        }
        self.progress.events += 1;
        if usage_alone && !self.usage.pass(self.plan.usage, self.progress.finished) {
            return Ok(Some(Verdict::Drop));
        }
        if !usage_alone && self.usage.is_sent() {
            // Every choice has finished and usage is the last that clients expect.
            return Ok(Some(Verdict::Drop));
        }
        if let Some(first) = self.shape.choices().first() {
            self.legacy = first.text != Piece::Absent;
        }
        let settled =
            self.tag.mend(json, &self.shape, &self.plan, self.legacy, &mut self.json_edits);
        if settled.is_some() {
            self.progress.identity = settled;
        }
        if usage_alone {
            return Ok(Some(Verdict::Usage));
        }
        Ledger::mend(self.plan.usage, json, &self.shape.members, &mut self.json_edits);
        self.choices(json)?;
        if let (Some(said), Some(choice)) = (&mut self.said, self.shape.choices().first()) {
            said.take(json, choice, again);
        }
        if let Some(digest) = &mut self.digest {
            digest.take(json, self.shape.choices(), again > 0);
        }
        self.progress.text_bytes = self.progress.text_bytes.saturating_sub(again as u64);
        Ok(Some(Verdict::Chunk))
    }

    /// Each choice is one of those asked for.
    fn choices_fit(&self) -> bool {
        let asked = self.plan.choices.max(1) as usize;
        self.shape.choices().len() <= asked
            && self
                .shape
                .choices()
                .iter()
                .all(|choice| choice.index.is_none_or(|index| (index as usize) < asked))
    }

    fn choices(&mut self, json: &[u8]) -> Result<(), Error> {
        let opening = self.plan.identity.is_none();
        for (position, choice) in (0u32..).zip(self.shape.choices_mut().iter_mut()) {
            let index = choice.index.unwrap_or(position);
            let slot = index as usize;
            if self.states.len() <= slot {
                self.states.resize_with(slot + 1, Default::default);
            }
            let Some(state) = self.states.get_mut(slot) else { continue };
            let before = state.finish;
            state.mend(json, choice, index, opening, &mut self.json_edits).map_err(
                |Failed(word)| Self::provider_error(ProviderError::from_finish_reason(&word)),
            )?;
            let finished = state.finish.is_some();
            self.progress.text_bytes += choice.text_bytes();
            self.progress.content_seen |= finished || choice.carries();
            if finished && before.is_none() {
                let done = self.states.iter().filter(|state| state.finish.is_some()).count();
                self.progress.finished = done >= self.plan.choices.max(1) as usize;
            }
        }
        Ok(())
    }
}

/// The failure an event or a whole answer reports, in any of the customary shapes. `named`: the event
/// is called an error.
pub(in crate::stream) fn failure(shape: &Shape, json: &[u8], named: bool) -> Option<ProviderError> {
    let told = shape.members.iter().find(|member| {
        let value = member.value.of(json);
        let empty = matches!(value, b"null" | b"false" | b"\"\"" | b"{}");
        member.name == Name::Error && !empty
    });
    if let Some(member) = told {
        return Some(ProviderError::read(member.value.of(json)));
    }
    let object_error = shape.members.iter().any(|member| {
        member.name == Name::Object
            && member.kind == Kind::String
            && Span::of(member.value, json) == b"\"error\""
    });
    let bare = named || object_error && !shape.has_choices;
    bare.then(|| ProviderError::read(json))
}
