//! Usage as providers send it: on a chunk of its own, on the last one, or on all of them.

use openapi::usage::{CompletionTokensDetails, PromptTokensDetails, Usage};
use serde::Deserialize;
use serde_json::Value;

use super::shape::{Member, Name};
use super::splice::{Edits, remove, replace};
use super::{Seam, UsageMode, seam, tag};
use crate::json::Kind;
use bytes::Bytes;

/// What has been seen of usage in one stream.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The last usage object, as it came.
    raw: Vec<u8>,
    /// The client has had its chunk of usage.
    sent: bool,
    /// Tokens of the answer that the upstream takes for a part of its prompt.
    shift: u64,
}

/// Lenient: a member may be missing or null, others are ignored.
#[derive(Deserialize)]
struct Loose {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    total_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<LoosePrompt>,
    #[serde(default)]
    completion_tokens_details: Option<LooseCompletion>,
}

#[derive(Deserialize)]
struct LoosePrompt {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct LooseCompletion {
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

/// A usage member that says something.
pub(crate) fn is_object(member: &Member) -> bool {
    member.name == Name::Usage && member.kind == Kind::Object
}

// === impl Ledger ===

impl Ledger {
    /// The last usage as it came; empty where there was none.
    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Takes note of the last usage object of an event; `None` where there is none to be read.
    pub(crate) fn note(&mut self, json: &[u8], members: &[Member]) -> Option<Usage> {
        let member = members.iter().rev().find(|member| is_object(member))?;
        let raw = member.value.of(json);
        let mut usage = read(raw)?;
        self.raw.clear();
        if self.shift > 0 {
            usage = seam::whole(usage, self.shift);
            self.raw = shifted(raw, &usage).unwrap_or_default();
        } else {
            self.raw.extend_from_slice(raw);
        }
        Some(usage)
    }

    /// What comes now is another upstream's usage.
    pub(crate) fn go_on(&mut self, seam: &Seam) {
        self.raw.clear();
        self.shift = match seam {
            Seam::Exact => 0,
            Seam::Prefill { tokens, .. } => *tokens,
        };
    }

    /// The client has had its chunk of usage, which is the last.
    pub(crate) fn is_sent(&self) -> bool {
        self.sent
    }

    /// An event of usage alone: whether the client gets it, now that `finished` says nothing else
    /// can follow. What it does not get now, [`Self::owed`] brings at the end.
    pub(crate) fn pass(&mut self, mode: UsageMode, finished: bool) -> bool {
        let pass = mode == UsageMode::Pass && finished && !self.sent && self.shift == 0;
        self.sent |= pass;
        pass
    }

    /// Takes usage out of an event with choices.
    pub(crate) fn mend(mode: UsageMode, json: &[u8], members: &[Member], edits: &mut Edits) {
        let mut objects = members.iter().filter(|member| is_object(member));
        let (Some(member), more) = (objects.next(), objects.next().is_some()) else { return };
        if mode == UsageMode::Strip && !more {
            edits.push(remove(json, member.key, member.value.end));
            return;
        }
        for member in members.iter().filter(|member| is_object(member)) {
            edits.push(replace(member.value, Bytes::from_static(b"null")));
        }
    }

    /// The event of usage alone that the client is still owed at the end, if any.
    pub(crate) fn owed(&mut self, mode: UsageMode, tag: &tag::Tag, legacy: bool) -> Option<Bytes> {
        if mode == UsageMode::Strip || self.sent || self.raw.is_empty() {
            return None;
        }
        let (id, created, model) = tag.texts()?;
        self.sent = true;
        let mut event = Vec::with_capacity(self.raw.len() + id.len() + model.len() + 128);
        for part in [
            b"data: {\"id\":".as_slice(),
            id,
            b",\"object\":",
            tag.object(legacy).as_bytes(),
            b",\"created\":",
            created,
            b",\"model\":",
            model,
            b",\"choices\":[],\"usage\":",
            &self.raw,
            b"}\n\n",
        ] {
            event.extend_from_slice(part);
        }
        // Of an event in several data lines: between tokens a line end is white space.
        let json_end = event.len().saturating_sub(2);
        for byte in event.iter_mut().take(json_end).filter(|byte| **byte == b'\n') {
            *byte = b' ';
        }
        Some(event.into())
    }
}

/// With the two counts of `usage`; all else as it came.
fn shifted(raw: &[u8], usage: &Usage) -> Option<Vec<u8>> {
    let mut members: serde_json::Map<String, Value> = serde_json::from_slice(raw).ok()?;
    members.insert("prompt_tokens".to_owned(), usage.prompt_tokens.into());
    members.insert("completion_tokens".to_owned(), usage.completion_tokens.into());
    serde_json::to_vec(&members).ok()
}

fn read(raw: &[u8]) -> Option<Usage> {
    let loose: Loose = serde_json::from_slice(raw).ok()?;
    let (prompt, completion) = (loose.prompt_tokens?, loose.completion_tokens.unwrap_or(0));
    let mut usage = Usage::new(prompt, completion);
    usage.total_tokens = loose.total_tokens.unwrap_or(usage.total_tokens);
    usage.prompt_tokens_details = loose
        .prompt_tokens_details
        .and_then(|details| details.cached_tokens)
        .map(|cached_tokens| PromptTokensDetails { cached_tokens });
    usage.completion_tokens_details = loose
        .completion_tokens_details
        .and_then(|details| details.reasoning_tokens)
        .map(|reasoning_tokens| CompletionTokensDetails { reasoning_tokens });
    Some(usage)
}
