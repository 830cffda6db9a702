//! One answer as it is made: a row, a token, and the events that come of it, as they are asked for. Dropped,
//! it ends between two tokens.

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use std::sync::Arc;

use super::Inner;
use super::cheat::Twist;
use super::language::Context;
use crate::decode::{Decode, Events, Step};
use crate::engine::tally::Tally;
use crate::engine::{Error, Event};

pub(super) struct Run {
    pub(super) inner: Arc<Inner>,
    pub(super) decode: Decode,
    pub(super) context: Context,
    pub(super) events: Events,
    /// What a cheater makes of it.
    pub(super) twist: Option<Twist>,
    pub(super) tally: Tally,
}

// === impl Run ===

impl Run {
    pub(super) fn stream(self) -> BoxStream<'static, Result<Event, Error>> {
        let next = |run: Option<Self>| async {
            let mut run = run?;
            let event = run.next().await?;
            let is_last = matches!(event, Ok(Event::Finish { .. }) | Err(_));
            match &event {
                Ok(Event::Finish { .. }) => run.tally.finish(),
                Err(_) => run.tally.fail(),
                Ok(_) => {}
            }
            Some((event, (!is_last).then_some(run)))
        };
        stream::unfold(Some(self), next).boxed()
    }

    async fn next(&mut self) -> Option<Result<Event, Error>> {
        loop {
            if let Ok(event) = self.events.try_recv() {
                let Some(twist) = &mut self.twist else { return Some(event) };
                return Some(event.map(|event| twist.event(event, &self.inner)));
            }
            if self.decode.outcome().is_some() {
                return None;
            }
            let delay = self.inner.options.token_delay;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let row = self.inner.row(&self.context, self.twist.as_ref().map(Twist::cheat));
            if let Step::Token(id) = self.decode.step(&row) {
                self.context.push(id);
            }
        }
    }
}
