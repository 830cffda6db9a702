//! The control exchange, this node's side: heartbeats with the load, offers, drain; pings answered at
//! once; a watch over the gateway's silence. Lines of JSON, each bounded.

use super::fault::Fault;
use super::tunnel::{Left, Tunnel};
use super::words;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use openapi::node::MESSAGE_BYTES_MAX;
use openapi::node::control::{Load, ToGateway, ToNode};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

/// Messages that wait for the gateway to read.
const WAITING_MAX: usize = 16;

/// Why the exchange is over.
pub(super) enum End {
    Left(Left),
    Fault(Fault),
}

/// The way to the gateway.
pub(super) struct Out(mpsc::Sender<Bytes>);

/// Runs the exchange to its end.
pub(super) async fn run(tunnel: &Arc<Tunnel>, incoming: Incoming, out: Out) -> End {
    match Exchange::new(tunnel, incoming, out).run().await {
        Ok(left) => End::Left(left),
        Err(fault) => End::Fault(fault),
    }
}

struct Exchange<'a> {
    tunnel: &'a Tunnel,
    lines: Lines,
    out: Out,
    sequence: u64,
    /// When a heartbeat was answered last.
    heard: Instant,
    lease: Duration,
    log: words::Lines,
}

/// What there is to do next.
enum Next {
    Drain,
    Close,
    Heartbeat,
    Offer,
    LeaseEnds,
    Silent,
    Line(Result<Option<Bytes>, Fault>),
}

impl<'a> Exchange<'a> {
    fn new(tunnel: &'a Tunnel, incoming: Incoming, out: Out) -> Self {
        Self {
            tunnel,
            lines: Lines { body: incoming, buffer: BytesMut::new() },
            out,
            sequence: 0,
            heard: Instant::now(),
            lease: Duration::from_millis(tunnel.granted.lease_ms),
            log: words::Lines::new(),
        }
    }

    async fn run(mut self) -> Result<Left, Fault> {
        let node = &self.tunnel.node;
        let mut beat =
            tokio::time::interval(Duration::from_millis(self.tunnel.granted.heartbeat_ms));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut offers = node.desk.follow();
        // The hello's may have been overtaken meanwhile.
        if offers.borrow_and_update().offer.sequence > self.tunnel.offer {
            offers.mark_changed();
        }
        let mut lease_ends = node.lease_ends.subscribe();
        if *lease_ends.borrow_and_update() != self.tunnel.ends {
            lease_ends.mark_changed();
        }
        let mut told = false;
        loop {
            let next = tokio::select! {
                biased;
                () = node.shutdown.draining().cancelled(), if !told => Next::Drain,
                () = node.shutdown.closing().cancelled() => Next::Close,
                _ = beat.tick() => Next::Heartbeat,
                () = changed(&mut offers) => Next::Offer,
                () = changed(&mut lease_ends) => Next::LeaseEnds,
                () = tokio::time::sleep_until(self.heard + self.lease) => Next::Silent,
                line = self.lines.next() => Next::Line(line),
            };
            match next {
                Next::Drain => {
                    told = true;
                    let within_ms = u64::try_from(node.drain.as_millis()).unwrap_or(u64::MAX);
                    self.say(&ToGateway::Drain { within_ms }).await?;
                }
                Next::Close => return Ok(Left::Drained),
                Next::Heartbeat if self.is_changed() => return Ok(Left::Changed),
                Next::Heartbeat => {
                    self.sequence += 1;
                    let (sequence, load) = (self.sequence, node.admission.load());
                    self.say(&ToGateway::Heartbeat { sequence, load }).await?;
                }
                Next::Offer => {
                    let offer = offers.borrow_and_update().signed.clone();
                    self.say(&ToGateway::Offer { offer }).await?;
                }
                Next::LeaseEnds => {
                    // An end that was taken back is one that never comes.
                    let at_ms = lease_ends.borrow_and_update().unwrap_or(i64::MAX);
                    self.say(&ToGateway::LeaseExpires { at_ms }).await?;
                }
                Next::Silent => return Err(Fault::Silent),
                Next::Line(line) => {
                    let line = line?.ok_or_else(|| broken("the gateway ended the exchange"))?;
                    if let Some(left) = self.hear(&line).await? {
                        return Ok(left);
                    }
                }
            }
        }
    }

    /// Other models than those of the hello, and nothing runs that a new hello would cut.
    fn is_changed(&self) -> bool {
        let node = &self.tunnel.node;
        node.admission.load() == Load::default()
            && !node.shutdown.is_draining()
            && node.engine.models() != self.tunnel.models
    }

    async fn say(&self, message: &ToGateway) -> Result<(), Fault> {
        let mut line =
            serde_json::to_vec(message).map_err(|error| Fault::Own(error.to_string()))?;
        line.push(b'\n');
        // A gateway that does not read is as silent as one that does not answer.
        let sent = tokio::time::timeout(self.lease, self.out.0.send(line.into())).await;
        sent.map_err(|_| Fault::Silent)?.map_err(|_| broken("the gateway left"))
    }

    async fn hear(&mut self, line: &[u8]) -> Result<Option<Left>, Fault> {
        let message: ToNode =
            serde_json::from_slice(line).map_err(|_| broken("a control message can't be read"))?;
        let entry = &self.tunnel.entry;
        match message {
            ToNode::Renewed { sequence } if sequence <= self.sequence => {
                self.heard = Instant::now();
                self.tunnel.renewed.store(true, Relaxed);
                entry.renewed(self.tunnel.node.clock.unix_millis());
            }
            ToNode::Ping { sequence } => self.say(&ToGateway::Pong { sequence }).await?,
            ToNode::OfferSeen { sequence, reason } => {
                let reason = reason.as_deref().map(words::plain);
                let gateway = &self.tunnel.granted.gateway;
                match &reason {
                    _ if !self.log.one_more() => {}
                    None => tracing::info!(%gateway, sequence, "the offer is in force"),
                    Some(reason) => {
                        tracing::warn!(%gateway, sequence, reason, "the offer is refused");
                    }
                }
                entry.offer_seen(sequence, reason);
            }
            ToNode::Report { report } => {
                let report = words::of_report(report);
                let (gateway, standing) = (&self.tunnel.granted.gateway, report.standing);
                let note = report.note.clone().unwrap_or_default();
                if entry.report(report) && self.log.one_more() {
                    tracing::info!(%gateway, ?standing, note, "stands elsewhere now");
                }
            }
            ToNode::Bye { reason, retry } => {
                return Ok(Some(Left::Bye { reason: words::plain(&reason), retry }));
            }
            ToNode::Renewed { .. } | ToNode::Unknown => {}
        }
        Ok(None)
    }
}

/// The cell's owner outlives every link.
async fn changed<T>(cell: &mut watch::Receiver<T>) {
    if cell.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn broken(what: &str) -> Fault {
    Fault::Broken(what.to_owned())
}

// === impl Out ===

impl Out {
    /// And the body that carries it.
    pub(super) fn new() -> (Self, Body) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let lines = stream::unfold(receiver, |mut receiver: mpsc::Receiver<Bytes>| async {
            let line = receiver.recv().await?;
            Some((Ok::<_, std::io::Error>(line), receiver))
        });
        (Self(sender), Body::from_stream(lines))
    }
}

/// The gateway's lines.
struct Lines {
    body: Incoming,
    buffer: BytesMut,
}

impl Lines {
    /// The next one; `None` at the end. Dropping the future loses nothing.
    async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer) {
                return Ok(Some(self.buffer.split_to(at + 1).freeze()));
            }
            if self.buffer.len() > MESSAGE_BYTES_MAX {
                return Err(broken("a control message is too long"));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(Fault::Broken(error.to_string())),
            }
        }
    }
}
