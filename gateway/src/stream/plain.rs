//! A whole answer that a provider sent as JSON though a stream was asked for, mended by the rules of
//! the relay: its bytes, with only what is wrong rewritten.

use bytes::Bytes;

use super::mend::{Failed, State};
use super::reader::failure;
use super::shape::{Choice, Piece, Shape};
use super::splice::{Edits, apply};
use super::tag::Tag;
use super::usage::Ledger;
use super::{Answer, Error, Plan, Progress, ProviderError};

/// `body` as the client gets it, the very same `Bytes` where nothing is wrong. `plan.usage` and
/// `plan.limits` are ignored: a whole answer shows its usage, and the caller has bounded it.
///
/// # Errors
/// [`Error::NotAnAnswer`], the provider's own error, or [`Error::Truncated`] where a choice has no
/// finish reason, or there is none.
pub fn plain(body: Bytes, plan: &Plan) -> Result<Answer, Error> {
    let mut shape = Shape::whole();
    if std::str::from_utf8(&body).is_err() || shape.read(&body).is_err() {
        return Err(Error::NotAnAnswer);
    }
    let (mut edits, mut progress) = (Edits::new(), Progress::default());
    if let Some(error) = failure(&shape, &body, false) {
        return Err(Error::ErrorEvent(Box::new(error)));
    }
    if !shape.has_choices {
        return Err(Error::NotAnAnswer);
    }
    progress.usage = Ledger::default().note(&body, &shape.members);
    let legacy = shape.choices().first().is_some_and(|first| first.text != Piece::Absent);
    progress.identity = Tag::whole(plan).mend(&body, &shape, plan, legacy, &mut edits);
    if shape.choices().is_empty() {
        return Err(Error::Truncated);
    }
    for (position, choice) in (0u32..).zip(shape.choices_mut().iter_mut()) {
        mend(&body, choice, position, &mut edits)?;
        progress.text_bytes += choice.text_bytes();
    }
    progress.content_seen = true;
    progress.finished = true;
    progress.done = true;
    let body = if edits.is_empty() { body } else { apply(&body, &mut edits).into() };
    Ok(Answer { body, progress })
}

fn mend(json: &[u8], choice: &mut Choice, position: u32, edits: &mut Edits) -> Result<(), Error> {
    let index = choice.index.unwrap_or(position);
    let mut state = State::default();
    state.mend(json, choice, index, true, edits).map_err(|Failed(word)| {
        Error::ErrorEvent(Box::new(ProviderError::from_finish_reason(&word)))
    })?;
    if state.finish.is_none() { Err(Error::Truncated) } else { Ok(()) }
}
