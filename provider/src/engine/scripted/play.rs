//! Plays steps as an engine's events, in `tokio`'s time.

use super::plan::Step;
use crate::engine::tally::Tally;
use crate::engine::{Error, Event};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use std::collections::VecDeque;

/// The events of plain steps.
pub(super) fn events(
    steps: VecDeque<Step>,
    tally: Tally,
) -> BoxStream<'static, Result<Event, Error>> {
    stream::unfold((steps, tally), |(mut steps, mut tally)| async move {
        let event = loop {
            match next(&mut steps, &mut tally).await? {
                Ok(Step::Delta(delta)) => break Ok(Event::Delta(delta)),
                Ok(Step::Comment(bytes)) => break Ok(Event::Raw(Bytes::from_static(bytes))),
                Ok(Step::Finish { reason, usage, claims }) => {
                    break Ok(Event::Finish { reason, usage, ids: Vec::new(), claims });
                }
                // Only quirky scripts have these; they are not played here.
                Ok(Step::Malformed | Step::Wait(_) | Step::Fail(_)) => {}
                Err(error) => break Err(error),
            }
        };
        Some((event, (steps, tally)))
    })
    .boxed()
}

/// The next step that is not a wait, when its time has come. Counts tokens and the job's end.
pub(super) async fn next(
    steps: &mut VecDeque<Step>,
    tally: &mut Tally,
) -> Option<Result<Step, Error>> {
    loop {
        match steps.pop_front()? {
            Step::Wait(time) => tokio::time::sleep(time).await,
            Step::Fail(error) => {
                tally.fail();
                return Some(Err(error));
            }
            step => {
                if let Step::Delta(delta) = &step {
                    tally.tokens(delta.ids.len());
                }
                if matches!(step, Step::Finish { .. }) {
                    tally.finish();
                }
                return Some(Ok(step));
            }
        }
    }
}
