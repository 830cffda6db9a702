//! The body one upstream gets: the client's bytes with single members spliced. Order, number text and
//! unknown members stay as the client wrote them.

use bytes::Bytes;
use smallvec::SmallVec;

use super::probe::Options;
use super::{Continuation, Dialect, Summary};
use crate::json::Span;
use crate::stream::splice::{Edits, apply, insert_first, remove_all, replace};

/// What this upstream must read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewrite<'a> {
    /// Its own name for the model.
    pub model: &'a str,
    /// Ask it for a stream, and for usage in it; `false`: for a whole answer.
    pub stream: bool,
    /// The seed to put in where the client gave none.
    pub seed: Option<i64>,
    pub dialect: Dialect,
    /// An answer that it is to go on with.
    pub continuation: Option<Continuation<'a>>,
}

impl Summary {
    /// The body for one upstream: every byte the client's own but for the members of `rewrite` that
    /// differ. `body` is the one this summary was read from; the very same `Bytes` comes back where
    /// nothing differs.
    #[must_use]
    pub fn upstream_body(&self, body: &Bytes, rewrite: Rewrite<'_>) -> Bytes {
        let mut edits = Edits::new();
        let put_in = |member: &str, edits: &mut Edits| {
            edits.push(insert_first(body, self.spots.open, member));
        };
        match self.spots.model {
            Some(value) if self.model != rewrite.model => {
                let name = serde_json::to_vec(rewrite.model).unwrap_or_default();
                edits.push(replace(value, name.into()));
            }
            None => {
                let name = serde_json::to_string(rewrite.model).unwrap_or_default();
                put_in(&format!("\"model\":{name}"), &mut edits);
            }
            Some(_) => {}
        }
        let mut unwanted: SmallVec<[Span; 4]> = self.spots.ours.iter().flatten().copied().collect();
        if self.stream != rewrite.stream {
            let word = if rewrite.stream { "true" } else { "false" };
            match self.spots.stream {
                Some(value) => edits.push(replace(value, Bytes::from_static(word.as_bytes()))),
                None => put_in(&format!("\"stream\":{word}"), &mut edits),
            }
        }
        match self.spots.options {
            // Some servers refuse the options of a stream where there is none.
            Some(options) if !rewrite.stream => {
                unwanted.push(Span { start: options.key, end: options.value.end });
            }
            Some(options) if !self.include_usage => ask_for_usage(body, options, &mut edits),
            None if rewrite.stream => {
                put_in("\"stream_options\":{\"include_usage\":true}", &mut edits);
            }
            _ => {}
        }
        if let (Some(seed), None) = (rewrite.seed, self.seed) {
            match self.spots.seed {
                Some(null) => edits.push(replace(null, seed.to_string().into())),
                None => put_in(&format!("\"seed\":{seed}"), &mut edits),
            }
        }
        if self.spots.messages.is_some() {
            rewrite.dialect.translate(body, &self.spots, &mut unwanted, &mut edits);
        }
        if let Some(continuation) = rewrite.continuation {
            continuation.splice(body, &self.spots, &mut edits);
        }
        remove_all(body, self.spots.open, &mut unwanted, &mut edits);
        if edits.is_empty() { body.clone() } else { apply(body, &mut edits).into() }
    }
}

fn ask_for_usage(body: &Bytes, options: Options, edits: &mut Edits) {
    let edit = match options.include_usage {
        _ if !options.object => {
            replace(options.value, Bytes::from_static(b"{\"include_usage\":true}"))
        }
        Some(value) => replace(value, Bytes::from_static(b"true")),
        None => insert_first(body, options.value.start + 1, "\"include_usage\":true"),
    };
    edits.push(edit);
}
