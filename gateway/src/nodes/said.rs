//! The node's side of the control exchange as it comes in: messages out of the answer's body, each
//! line within its length, and no more of them than a node has reason to say.

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use openapi::node::MESSAGE_BYTES_MAX;
use openapi::node::control::ToGateway;
use std::time::Duration;
use tokio::time::Instant;

use super::lines::Lines;

/// A node says a heartbeat every few seconds, and an offer now and then.
const MESSAGES_MAX: u32 = 64;
const MESSAGES_WITHIN: Duration = Duration::from_secs(1);

pub(super) struct Said {
    body: Incoming,
    lines: Lines,
    since: Instant,
    count: u32,
}

/// The node does not keep to the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("a control message is longer than {MESSAGE_BYTES_MAX} bytes")]
    TooLong,
    #[error("a control message can't be read")]
    Malformed,
    #[error("more than {MESSAGES_MAX} control messages in a second")]
    TooMany,
}

impl Said {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, lines: Lines::default(), since: Instant::now(), count: 0 }
    }

    /// The next message; nothing when the node has said its last. Nothing is lost if it is not waited
    /// for to the end.
    pub(super) async fn next(&mut self) -> Result<Option<ToGateway>, Fault> {
        loop {
            let line = self.lines.next(MESSAGE_BYTES_MAX).map_err(|_| Fault::TooLong)?;
            if let Some(line) = line {
                self.count()?;
                return serde_json::from_slice(&line).map(Some).map_err(|_| Fault::Malformed);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.lines.push(data);
                    }
                }
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }

    fn count(&mut self) -> Result<(), Fault> {
        if self.since.elapsed() >= MESSAGES_WITHIN {
            (self.since, self.count) = (Instant::now(), 0);
        }
        self.count += 1;
        if self.count > MESSAGES_MAX { Err(Fault::TooMany) } else { Ok(()) }
    }

    /// Until the node has said its last, whatever it says.
    pub(super) async fn end(&mut self) {
        while let Some(Ok(_)) = self.body.frame().await {}
    }
}
