//! How far the tokens of an answer are apart: what a model's answers teach, and the silence after which
//! this one has stalled.

use std::sync::Arc;
use std::task::{Context as Cx, Poll};
use std::time::Duration;
use tokio::time::Instant;

use super::watch::{Expired, Watch};
use crate::market::Model;
use crate::stream::Progress;

pub(super) struct Pace {
    watch: Watch,
    model: Arc<Model>,
    /// Events and token ids: comments are no progress, but for those that tell tokens.
    seen: u64,
    /// When they last became more; absent where what comes was not waited for, but for its reader.
    last: Option<Instant>,
}

// === impl Pace ===

impl Pace {
    /// Of an answer whose first content is here; at most `limit` between tokens.
    pub(super) fn new(model: &Arc<Model>, limit: Duration) -> Self {
        let stall = model.shared.stall_s(limit.as_secs_f32());
        let stall = Duration::try_from_secs_f32(stall).unwrap_or(limit).min(limit);
        let last = Some(Instant::now());
        Self { watch: Watch::new(stall), model: model.clone(), seen: 0, last }
    }

    /// With an end that no token puts off.
    pub(super) fn until(mut self, end: Instant) -> Self {
        self.watch = self.watch.until(end);
        self
    }

    /// Something came.
    pub(super) fn came(&mut self, progress: &Progress) {
        let seen = progress.events + progress.tokens_told() as u64;
        if seen == self.seen {
            return;
        }
        self.seen = seen;
        self.watch.touch();
        if let Some(last) = self.last.take() {
            self.model.shared.gap(last.elapsed().as_secs_f32());
        }
    }

    /// There is nothing to read. Ready once that is a stall.
    pub(super) fn poll(&mut self, cx: &mut Cx<'_>) -> Poll<Expired> {
        self.last.get_or_insert_with(Instant::now);
        self.watch.poll(cx)
    }
}
