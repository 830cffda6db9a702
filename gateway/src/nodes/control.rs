//! The control exchange of one node: what it says goes to its membership, and what the gateway has to
//! say goes back. It decides nothing about the lease.

use bytes::Bytes;
use openapi::node::control::{Report, ToGateway, ToNode};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

use super::said::{Fault, Said};
use crate::market::{Bye, Membership};
use crate::shutdown::Shutdown;
use crate::upstream::Lines;

/// The first pings come close together, so that the shortest way is known soon.
const FIRST_PINGS: u64 = 5;
const FIRST_PINGS_EVERY: Duration = Duration::from_secs(1);
const PINGS_EVERY: Duration = Duration::from_secs(30);
/// A report without news.
const REPORTS_EVERY: Duration = Duration::from_secs(30);
/// What a node may ask for to finish.
const DRAIN_MAX: Duration = Duration::from_secs(3600);

pub(super) struct Control<'a> {
    said: Said,
    lines: Lines,
    membership: &'a Membership,
    ping: Ping,
    reported: Option<(Report, Instant)>,
}

struct Ping {
    count: u64,
    /// Not to be guessed: who answers before it is asked looks nearer than it is.
    sequence: u64,
    next: Instant,
    /// Sent and not answered.
    sent: Option<Instant>,
}

/// An exchange without a membership.
pub(super) struct Over {
    said: Said,
    lines: Lines,
}

/// How an exchange ends.
pub(super) enum End {
    /// With a word.
    Bye(Bye),
    /// The node left, or does not take what it is told.
    Gone,
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Bye(Bye { reason: fault.to_string(), retry: false })
    }
}

// === impl Control ===

impl<'a> Control<'a> {
    pub(super) fn new(said: Said, lines: Lines, membership: &'a Membership) -> Self {
        let ping = Ping { count: 0, sequence: 0, next: Instant::now(), sent: None };
        Self { said, lines, membership, ping, reported: None }
    }

    /// Until the lease, the node or the gateway ends.
    pub(super) async fn run(&mut self, tasks: &Shutdown) -> End {
        loop {
            let turn = tokio::select! {
                said = self.said.next() => match said {
                    Ok(Some(message)) => self.hear(message),
                    Ok(None) => Err(End::Gone),
                    Err(fault) => Err(fault.into()),
                },
                () = sleep_until(self.ping.next) => self.ping(),
                bye = self.membership.ended() => Err(End::Bye(bye)),
                () = tasks.draining() => {
                    Err(End::Bye(Bye { reason: "the gateway stops".to_owned(), retry: true }))
                }
            };
            if let Err(end) = turn {
                return end;
            }
        }
    }

    fn hear(&mut self, message: ToGateway) -> Result<(), End> {
        match message {
            ToGateway::Heartbeat { sequence, load } => {
                self.membership.heartbeat(load);
                self.say(&ToNode::Renewed { sequence })?;
                self.report()?;
            }
            ToGateway::Offer { offer } => {
                let seen = self.membership.offer(&offer);
                self.say(&ToNode::OfferSeen { sequence: seen.sequence, reason: seen.reason })?;
            }
            ToGateway::Pong { sequence } => {
                if sequence == self.ping.sequence
                    && let Some(sent) = self.ping.sent.take()
                {
                    self.membership.way(sent.elapsed());
                }
            }
            ToGateway::Drain { within_ms } => {
                self.membership.drain(Duration::from_millis(within_ms).min(DRAIN_MAX));
            }
            ToGateway::LeaseExpires { at_ms } => self.membership.lease_expires(at_ms),
            ToGateway::Unknown => {}
        }
        Ok(())
    }

    fn ping(&mut self) -> Result<(), End> {
        let ping = &mut self.ping;
        ping.count += 1;
        ping.sequence = unguessable(ping.sequence);
        let is_first = ping.count <= FIRST_PINGS;
        let (now, sequence) = (Instant::now(), ping.sequence);
        ping.next = now + if is_first { FIRST_PINGS_EVERY } else { PINGS_EVERY };
        ping.sent = Some(now);
        self.say(&ToNode::Ping { sequence })
    }

    /// Where there is news, or none was given for long.
    fn report(&mut self) -> Result<(), End> {
        let report = self.membership.report();
        let is_due = self
            .reported
            .as_ref()
            .is_none_or(|(told, at)| at.elapsed() >= REPORTS_EVERY || news(told) != news(&report));
        if !is_due {
            return Ok(());
        }
        self.say(&ToNode::Report { report: report.clone() })?;
        self.reported = Some((report, Instant::now()));
        Ok(())
    }

    fn say(&self, message: &ToNode) -> Result<(), End> {
        let said = line(message).is_some_and(|line| self.lines.say(line));
        if said { Ok(()) } else { Err(End::Gone) }
    }

    /// What is left when the membership is over.
    pub(super) fn over(self) -> Over {
        Over { said: self.said, lines: self.lines }
    }
}

// === impl Over ===

impl Over {
    /// Says goodbye and waits until the node has understood.
    pub(super) async fn bye(self, bye: Bye, wait: Duration) {
        let Self { mut said, lines } = self;
        let message = ToNode::Bye { reason: bye.reason, retry: bye.retry };
        if line(&message).is_some_and(|line| lines.say(line)) {
            // The last word: the request's body ends.
            drop(lines);
            let _ = tokio::time::timeout(wait, said.end()).await;
        }
    }
}

/// Numbers that JSON's readers agree on. Without random numbers the next one is guessable, and still not
/// the one before.
fn unguessable(before: u64) -> u64 {
    const BITS: u32 = 53;
    getrandom::u64().map_or(before.wrapping_add(1), |random| random >> (u64::BITS - BITS))
}

/// What a node wants to know at once; the counters change all the time.
fn news(report: &Report) -> impl PartialEq + '_ {
    (report.standing, report.prefill_tps, report.decode_tps, &report.note)
}

fn line(message: &ToNode) -> Option<Bytes> {
    let mut line = serde_json::to_vec(message).ok()?;
    line.push(b'\n');
    Some(line.into())
}
