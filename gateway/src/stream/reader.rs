//! One event at a time: what it says, whether the client gets it, and which of its bytes must change.
//! The one set of rules under the relay and the assembler.

mod chunk;

pub(super) use chunk::failure;

use bytes::Bytes;
use smallvec::SmallVec;

use super::digest::Digest;
use super::error::ProviderError;
use super::evidence::{self, Comment};
use super::lines::{BOM, Role, role};
use super::mend::State;
use super::said::Said;
use super::scan::Line;
use super::seam::{Joint, Seam};
use super::shape::Shape;
use super::splice::{Edit, Edits, apply};
use super::tag::Tag;
use super::usage::Ledger;
use super::{Checkable, Error, Plan, Progress};
use crate::json::Span;

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The client gets nothing of it.
    Drop,
    /// No chunk (comments, blank lines); the client gets it with the edits.
    Aside,
    /// A chunk with choices; the client gets it with the edits.
    Chunk,
    /// An event of usage alone, for a client that asked for one.
    Usage,
    /// `[DONE]`, backed by evidence; what is in [`Reader::owed`] comes before it.
    Done,
}

#[derive(Debug)]
pub(crate) struct Reader {
    plan: Plan,
    progress: Progress,
    shape: Shape,
    tag: Tag,
    usage: Ledger,
    states: SmallVec<[State; 1]>,
    /// Of the event last read: by offset in the event, in order.
    edits: Edits,
    /// Of its JSON alone.
    json_edits: Edits,
    /// Where its JSON stands in the event, or in `joined`.
    json: Span,
    /// The data lines of an event that has several; empty otherwise.
    joined: Vec<u8>,
    legacy: bool,
    begun: bool,
    /// Of the upstream that is read now, as is what follows.
    ids: usize,
    malformed: u32,
    joint: Joint,
    /// Kept where asked for.
    said: Option<Said>,
    /// Made where asked for.
    digest: Option<Digest>,
}

/// The lines of one event, sorted.
#[derive(Default)]
struct Sorted {
    /// Value of the first data line, and where that line is in the list.
    data: Option<(Span, usize)>,
    data_lines: usize,
    kept: usize,
    named_error: bool,
    /// Evidence lines, for when the event is accepted.
    evidence: SmallVec<[Span; 1]>,
}

// === impl Reader ===

impl Reader {
    pub(crate) fn new(plan: Plan) -> Self {
        Self {
            tag: Tag::new(&plan),
            progress: Progress { identity: plan.identity.clone(), ..Progress::default() },
            plan,
            shape: Shape::default(),
            usage: Ledger::default(),
            states: SmallVec::new(),
            edits: Edits::new(),
            json_edits: Edits::new(),
            json: Span::default(),
            joined: Vec::new(),
            legacy: false,
            begun: false,
            ids: 0,
            malformed: 0,
            joint: Joint::default(),
            said: None,
            digest: None,
        }
    }

    pub(crate) fn keep_text(&mut self) {
        self.said = Some(Said::default());
    }

    pub(crate) fn said(&self) -> Option<&Said> {
        self.said.as_ref()
    }

    /// From here on what this choice says goes into a digest.
    pub(crate) fn digest(&mut self, choice: u32) {
        self.digest = Some(Digest::new(choice));
    }

    /// What is there to be checked, where it was asked for.
    pub(crate) fn checkable(&self) -> Option<Checkable> {
        let digest = self.digest.as_ref()?;
        let choice = digest.choice();
        let finish = self.states.get(choice as usize).and_then(|state| state.finish);
        Some(Checkable { choice, text_sha256: digest.sha256(), finish })
    }

    /// Content was seen, and of the upstream that goes on with it some as well.
    pub(crate) fn has_news(&self) -> bool {
        self.progress.content_seen && !self.joint.is_open()
    }

    /// What comes now is another upstream's. All that was seen of the answer stays.
    pub(crate) fn go_on(&mut self, seam: Seam) {
        self.begun = false;
        self.progress.usage = None;
        self.progress.provenance = None;
        // Nobody answers for what another said.
        self.digest = None;
        self.usage.go_on(&seam);
        // One upstream's excess is not the next one's.
        (self.ids, self.malformed) = (0, 0);
        let ids = self.progress.ids.first().map_or(0, Vec::len);
        self.joint.open(seam, ids);
    }

    /// The upstream that is read has failed: if it brought nothing that the client sees, the ids that it
    /// told are forgotten. They may be another answer's.
    pub(crate) fn let_go(&mut self) {
        if let (true, Some(ids)) = (self.joint.is_open(), self.progress.ids.first_mut()) {
            ids.truncate(self.joint.ids());
        }
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    pub(crate) fn into_progress(self) -> Progress {
        self.progress
    }

    pub(crate) fn set_done(&mut self) {
        self.progress.done = true;
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn edits(&self) -> &Edits {
        &self.edits
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(crate) fn states(&self) -> &[State] {
        &self.states
    }

    pub(crate) fn tag(&self) -> &Tag {
        &self.tag
    }

    pub(crate) fn usage_raw(&self) -> &[u8] {
        self.usage.raw()
    }

    pub(crate) fn legacy(&self) -> bool {
        self.legacy
    }

    /// The JSON of the event last read, unmended.
    pub(crate) fn json<'a>(&'a self, raw: &'a [u8]) -> &'a [u8] {
        if self.joined.is_empty() { self.json.of(raw) } else { &self.joined }
    }

    /// The event of usage alone that must come before `[DONE]`, if one is owed.
    pub(crate) fn owed(&mut self) -> Option<Bytes> {
        self.usage.owed(self.plan.usage, &self.tag, self.legacy)
    }

    /// Reads an event; `lines` are its lines without the blank one.
    pub(crate) fn event(&mut self, raw: &[u8], lines: &[Line]) -> Result<Verdict, Error> {
        self.edits.clear();
        self.joined.clear();
        if std::str::from_utf8(raw).is_err() {
            return self.malformed();
        }
        let sorted = self.sort(raw, lines);
        let Some((value, _)) = sorted.data else {
            self.accept(raw, &sorted)?;
            let nothing = sorted.kept == 0 && !lines.is_empty();
            return Ok(if nothing { Verdict::Drop } else { Verdict::Aside });
        };
        self.json = value;
        if sorted.data_lines > 1 {
            self.join(raw, lines);
        }
        let json = self.json(raw).trim_ascii();
        if json.is_empty() {
            self.accept(raw, &sorted)?;
            return Ok(Verdict::Drop);
        }
        if json == b"[DONE]" {
            return self.finish(raw, lines, &sorted);
        }
        let joined = std::mem::take(&mut self.joined);
        let json = if joined.is_empty() { self.json.of(raw) } else { &joined };
        let verdict = self.chunk(json, sorted.named_error);
        self.joined = joined;
        let Some(verdict) = verdict? else { return self.malformed() };
        self.accept(raw, &sorted)?;
        if verdict != Verdict::Drop {
            self.place_edits(raw, lines, &sorted);
        }
        Ok(verdict)
    }

    /// Sorts the lines and marks those that are not for the client as edits.
    fn sort(&mut self, raw: &[u8], lines: &[Line]) -> Sorted {
        let mut sorted = Sorted::default();
        let marked = !std::mem::replace(&mut self.begun, true) && raw.starts_with(BOM);
        if marked {
            self.edits.push(Edit { start: 0, end: BOM.len(), text: Bytes::new() });
        }
        for (number, line) in lines.iter().enumerate() {
            let start = if marked && number == 0 { BOM.len() } else { line.start };
            let span = Span { start, end: line.end };
            let text = span.of(raw);
            let keep = match role(text) {
                Role::Data(offset) => {
                    let value = Span { start: start + offset, end: line.end };
                    sorted.data.get_or_insert((value, number));
                    sorted.data_lines += 1;
                    true
                }
                Role::Comment if self.plan.evidence && evidence::suspect(text) => {
                    let ours = evidence::read(text) != Comment::Other;
                    if ours {
                        sorted.evidence.push(span);
                    }
                    !ours
                }
                Role::Comment => true,
                Role::ErrorName => {
                    sorted.named_error = true;
                    false
                }
                Role::Field => false,
            };
            if keep {
                sorted.kept += 1;
            } else {
                self.edits.push(Edit { start, end: line.next, text: Bytes::new() });
            }
        }
        sorted
    }

    /// Joins the data lines of an event that has several, as the standard says.
    fn join(&mut self, raw: &[u8], lines: &[Line]) {
        for line in lines {
            let text = raw.get(line.start..line.end).unwrap_or_default();
            let text = text.strip_prefix(BOM).unwrap_or(text);
            if let Role::Data(offset) = role(text) {
                if !self.joined.is_empty() {
                    self.joined.push(b'\n');
                }
                self.joined.extend_from_slice(text.get(offset..).unwrap_or_default());
            }
        }
        if self.joined.is_empty() {
            self.joined.push(b'\n');
        }
    }

    /// The event was read: what its comments say holds.
    fn accept(&mut self, raw: &[u8], sorted: &Sorted) -> Result<(), Error> {
        for span in &sorted.evidence {
            match evidence::read(span.of(raw)) {
                Comment::Ids(choice, ids) => self.take_ids(choice, ids)?,
                Comment::Provenance(provenance) => self.progress.provenance = Some(*provenance),
                Comment::Broken => self.count_malformed()?,
                Comment::Other => {}
            }
        }
        Ok(())
    }

    fn take_ids(&mut self, choice: u32, ids: &[u8]) -> Result<(), Error> {
        if choice >= self.plan.choices.max(1) {
            return self.count_malformed();
        }
        let slot = choice as usize;
        if self.progress.ids.len() <= slot {
            self.progress.ids.resize_with(slot + 1, Vec::new);
        }
        let Some(list) = self.progress.ids.get_mut(slot) else { return Ok(()) };
        let before = list.len();
        if !evidence::append(ids, list) {
            return self.count_malformed();
        }
        self.ids += list.len() - before;
        let limit = self.plan.limits.ids_max;
        if self.ids > limit { Err(Error::TooManyIds { limit }) } else { Ok(()) }
    }

    /// `[DONE]`: true only where every choice that was begun has finished.
    fn finish(&mut self, raw: &[u8], lines: &[Line], sorted: &Sorted) -> Result<Verdict, Error> {
        let mut begun = self.states.iter().filter(|state| state.seen).peekable();
        if begun.peek().is_none() || begun.any(|state| state.finish.is_none()) {
            return Err(Error::Truncated);
        }
        self.accept(raw, sorted)?;
        self.json_edits.clear();
        let json = self.json(raw);
        if json != b"[DONE]" || !self.joined.is_empty() {
            let (start, end) = (0, json.len());
            self.json_edits.push(Edit { start, end, text: Bytes::from_static(b"[DONE]") });
        }
        self.place_edits(raw, lines, sorted);
        self.progress.done = true;
        Ok(Verdict::Done)
    }

    /// Moves the edits of the JSON to where it stands in the event.
    fn place_edits(&mut self, raw: &[u8], lines: &[Line], sorted: &Sorted) {
        let (false, Some((value, first))) = (self.json_edits.is_empty(), sorted.data) else {
            return;
        };
        if self.joined.is_empty() {
            for edit in self.json_edits.drain(..) {
                let (start, end) = (value.start + edit.start, value.start + edit.end);
                self.edits.push(Edit { start, end, text: edit.text });
            }
        } else {
            // The mended JSON goes on the first data line and the others go.
            let mut whole = apply(&self.joined, &mut self.json_edits);
            whole.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
            // A bare `data`, which has no value and no colon, may be the first.
            if raw.get(..value.start).is_some_and(|before| before.ends_with(b"data")) {
                whole.splice(..0, *b": ");
            }
            self.edits.push(Edit { start: value.start, end: value.end, text: whole.into() });
            for line in lines.iter().skip(first + 1) {
                let text = raw.get(line.start..line.end).unwrap_or_default();
                if let Role::Data(_) = role(text) {
                    let (start, end) = (line.start, line.next);
                    self.edits.push(Edit { start, end, text: Bytes::new() });
                }
            }
        }
        if self.edits.len() > 1 {
            self.edits.sort_by_key(|edit| (edit.start, edit.end));
        }
    }

    fn malformed(&mut self) -> Result<Verdict, Error> {
        self.count_malformed()?;
        Ok(Verdict::Drop)
    }

    fn count_malformed(&mut self) -> Result<(), Error> {
        self.progress.malformed = self.progress.malformed.saturating_add(1);
        self.malformed = self.malformed.saturating_add(1);
        let limit = self.plan.limits.malformed_max;
        if self.malformed > limit {
            return Err(Error::TooManyMalformed { limit });
        }
        Ok(())
    }

    fn provider_error(error: ProviderError) -> Error {
        Error::ErrorEvent(Box::new(error))
    }
}
