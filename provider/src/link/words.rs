//! A gateway's own words, before they reach a log or an operator's terminal: bounded, and without the
//! characters by which a text takes over a terminal. It judges no content.

use openapi::node::control::Report;
use openapi::node::{Granted, MODELS_MAX, Selling};
use std::time::Duration;
use tokio::time::Instant;

/// Characters of one text.
const TEXT_MAX: usize = 300;
/// Lines of log about what one gateway says, in each [`WINDOW`]: it must not fill the disk.
const LINES_MAX: u32 = 60;
const WINDOW: Duration = Duration::from_mins(1);

pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect()
}

pub(super) fn of_granted(granted: Granted) -> Granted {
    let name = |sold: Selling| Selling {
        model: plain(&sold.model),
        name: plain(&sold.name),
        verified: sold.verified,
    };
    Granted {
        lease_id: plain(&granted.lease_id),
        provider: plain(&granted.provider),
        selling: granted.selling.into_iter().take(MODELS_MAX).map(name).collect(),
        ..granted
    }
}

pub(super) fn of_report(report: Report) -> Report {
    Report { note: report.note.as_deref().map(plain), ..report }
}

/// How much of it is still logged.
#[derive(Debug)]
pub(super) struct Lines {
    since: Instant,
    left: u32,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), left: LINES_MAX }
    }

    /// Whether one more line may be logged; it counts as logged.
    pub(super) fn one_more(&mut self) -> bool {
        if self.since.elapsed() >= WINDOW {
            *self = Self::new();
        }
        let more = self.left > 0;
        self.left = self.left.saturating_sub(1);
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_gateway_s_words_are_plain_short_and_few() {
        assert_eq!(plain("\u{1b}[2Jno\r\n\u{9b}way"), "[2Jnoway");
        assert_eq!(plain(&"é".repeat(9_000)).chars().count(), TEXT_MAX);
        let mut lines = Lines::new();
        assert_eq!((0..500).filter(|_| lines.one_more()).count(), 60);
        tokio::time::advance(WINDOW).await;
        assert!(lines.one_more());
    }
}
