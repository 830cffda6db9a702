//! What the gateway finds out about nodes by itself: how fast they are, at the join and now and then,
//! and whether they can be where they say. What it finds goes to each node's evidence. It chooses
//! nobody, and a slow node is a slow node: nothing is done about it here.

mod probe;
mod prompt;
mod speed;
#[cfg(test)]
mod tests;
mod watch;

use openapi::node::Standing;
use openapi::nodes::{EvidenceKind, EvidenceVerdict, Measured, RegionStatus};
use openapi::sign::PublicKey;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::evidence::{note, record};
use super::region::{Atlas, Point, Verdict, judge};
use super::{Figures, Market, Member, Offer};
use crate::config;
use crate::metrics::Measurement;
use crate::route::Random;
use crate::upstream;
use probe::{Probe, endpoint};
use prompt::Numbers;
use watch::Watched;

/// Nodes measured at once; further ones wait their turn.
pub const AT_ONCE: usize = 8;
/// One model's measurement may take so long, and all of one node's together.
const MODEL_MAX: Duration = Duration::from_secs(60);
const NODE_MAX: Duration = Duration::from_secs(300);
/// How often it is looked who is to be measured.
const TICK: Duration = Duration::from_secs(1);
/// A busy node is waited for so long, and then measured all the same.
const BUSY_MAX: Duration = Duration::from_secs(60);
/// Not sooner again, also after a failure or a new join.
const AGAIN_MIN: Duration = Duration::from_secs(600);

/// Of [`Watched::due_ms`]: being measured now; never again in this lease.
const UNDER_WAY: u64 = u64::MAX - 1;
const NEVER: u64 = u64::MAX;

/// What measuring takes.
#[derive(Debug)]
pub struct Bench {
    market: Market,
    context: Arc<upstream::Context>,
    atlas: Atlas,
    /// Where this gateway is.
    here: Option<Point>,
    is_on: bool,
    every: Duration,
    turns: Arc<Semaphore>,
}

impl Bench {
    pub fn new(market: Market, context: Arc<upstream::Context>, settings: &config::Market) -> Self {
        let atlas = Atlas::new(&settings.places);
        Self {
            here: settings.region.as_deref().and_then(|name| atlas.find(name)),
            atlas,
            market,
            context,
            is_on: settings.measure,
            every: settings.measure_every,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Until the gateway drains.
    pub async fn run(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut watched = HashMap::new();
        loop {
            tokio::select! {
                _ = ticks.tick() => self.look(&mut watched),
                () = self.context.shutdown.draining() => return,
            }
        }
    }

    /// One look at all members: what changed is kept as evidence, who is due is measured.
    fn look(self: &Arc<Self>, watched: &mut HashMap<PublicKey, Watched>) {
        let members = self.market.members();
        let now = self.market.time().now();
        let mut before = std::mem::take(watched);
        let mut due = Vec::new();
        for member in &members {
            let mut known = match before.remove(&member.node) {
                Some(known) if known.lease_id == member.lease_id => known,
                _ => Watched::new(member, self.first_due(member, now.unix_ms, now.run_ms)),
            };
            known.changes(member, now.unix_ms);
            self.check_region(member, &mut known, now.unix_ms);
            if let Some(since) = self.is_due(member, &known, now.run_ms) {
                due.push((since, member.clone(), known.due_ms.clone()));
            }
            watched.insert(member.node, known);
        }
        due.sort_by_key(|(since, ..)| *since);
        for (_, member, due_ms) in due {
            let Ok(turn) = self.turns.clone().try_acquire_owned() else { break };
            due_ms.store(UNDER_WAY, Relaxed);
            let bench = self.clone();
            self.context.shutdown.spawn(bench.measure(member, due_ms, turn));
        }
    }

    /// When a node that just joined is to be measured: now, unless it was a short while ago.
    fn first_due(&self, member: &Member, unix_ms: i64, run_ms: u64) -> u64 {
        if !self.is_on {
            return NEVER;
        }
        let evidence = &member.known.evidence;
        let last = evidence.last(EvidenceKind::Speed).map(|record| (record.at_ms, record.verdict));
        let is_known =
            member.hello.models.iter().all(|served| evidence.measured(&served.id).is_some());
        match last {
            Some((last_ms, verdict)) if is_known || verdict == EvidenceVerdict::Failed => {
                let ago = u64::try_from(unix_ms.saturating_sub(last_ms)).unwrap_or_default();
                run_ms.saturating_add(millis(AGAIN_MIN).saturating_sub(ago))
            }
            _ => run_ms,
        }
    }

    /// Since when it is due, if it is and may be measured now.
    fn is_due(&self, member: &Member, watched: &Watched, run_ms: u64) -> Option<u64> {
        let due_ms = watched.due_ms.load(Relaxed);
        let stands = matches!(member.standing(), Standing::Probation | Standing::Active);
        if !stands || due_ms > run_ms {
            return None;
        }
        let load = member.load().unwrap_or_default();
        let is_busy = load.running > 0 || load.queued > 0;
        let waited = run_ms.saturating_sub(due_ms);
        (!is_busy || waited >= millis(BUSY_MAX)).then_some(due_ms)
    }

    /// Model after model.
    async fn measure(
        self: Arc<Self>,
        member: Arc<Member>,
        due_ms: Arc<AtomicU64>,
        _turn: OwnedSemaphorePermit,
    ) {
        let end = Instant::now() + NODE_MAX;
        let offers = self.offers(&member);
        if offers.is_empty() {
            // The next snapshot has them.
            due_ms.store(self.market.time().now().run_ms, Relaxed);
            return;
        }
        let mut is_whole = true;
        for (place, offer) in offers.into_iter().enumerate() {
            tokio::select! {
                measured = self.model(&member, &offer, place == 0, end) => is_whole &= measured,
                () = self.context.shutdown.draining() => return,
                () = member.over() => return,
            }
        }
        let wait = match (is_whole, self.every.is_zero()) {
            (true, true) => None,
            (true, false) => Some(self.jittered(self.every)),
            (false, true) => Some(AGAIN_MIN),
            (false, false) => Some(self.every.min(AGAIN_MIN)),
        };
        let now_ms = self.market.time().now().run_ms;
        due_ms.store(wait.map_or(NEVER, |wait| now_ms.saturating_add(millis(wait))), Relaxed);
    }

    /// The node's offers, each of its models once.
    fn offers(&self, member: &Arc<Member>) -> Vec<Arc<Offer>> {
        let snapshot = self.market.snapshot();
        let mut found: Vec<Arc<Offer>> = Vec::new();
        for offer in snapshot.models().iter().flat_map(|model| &model.offers) {
            let is_its = offer.member().is_some_and(|seller| Arc::ptr_eq(seller, member));
            let is_new = || !found.iter().any(|one| one.upstream_model == offer.upstream_model);
            if is_its && is_new() {
                found.push(offer.clone());
            }
        }
        found
    }

    /// `false`: it could not be measured, and the node is still there.
    async fn model(
        &self,
        member: &Member,
        offer: &Arc<Offer>,
        is_first: bool,
        end: Instant,
    ) -> bool {
        let features = offer.served().map(|served| served.features.as_slice()).unwrap_or_default();
        let Some(endpoint) = endpoint(features) else { return true };
        let at_ms = self.market.time().now().unix_ms;
        let mut probe = Probe {
            context: &self.context,
            clock: self.market.time().clock(),
            offer,
            numbers: Numbers::new((self.context.random)()),
        };
        let end = end.min(Instant::now() + MODEL_MAX);
        let why = match tokio::time::timeout_at(end, probe.run(endpoint, at_ms)).await {
            Ok(Ok(measured)) => {
                member.known.evidence.measure(&offer.upstream_model, measured);
                if is_first {
                    let Measured { prefill_tps, decode_tps, cancels, .. } = measured;
                    member.known.set_figures(Figures { prefill_tps, decode_tps, cancels });
                }
                self.context.metrics.measurements.get(Measurement::Ok).inc();
                return true;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it took too long".to_owned(),
        };
        if member.standing() == Standing::Gone {
            return true;
        }
        self.context.metrics.measurements.get(Measurement::Failed).inc();
        tracing::info!(provider = %member.provider, model = %offer.upstream_model, why, "not measured");
        let mut failed = record(at_ms, EvidenceKind::Speed, EvidenceVerdict::Failed);
        failed.model = Some(offer.upstream_model.to_string());
        failed.note = Some(note(&why));
        member.known.evidence.push(failed);
        false
    }

    /// Up to a tenth sooner or later, so that nodes that joined together are not measured together.
    fn jittered(&self, wait: Duration) -> Duration {
        let share = Random::new((self.context.random)()).unit();
        wait.mul_f64(0.9 + 0.2 * share)
    }

    /// Puts what was done about a node on record.
    pub fn noted(&self, node: &PublicKey, what: &str) {
        if let Some(known) = self.market.known(node) {
            let at_ms = self.market.time().now().unix_ms;
            let mut acted = record(at_ms, EvidenceKind::Standing, EvidenceVerdict::Ok);
            acted.note = Some(note(what));
            known.evidence.push(acted);
        }
    }

    fn verdict(&self, member: &Member) -> Option<Verdict> {
        let claimed = self.atlas.find(member.hello.region.as_deref()?);
        Some(judge(self.here, claimed, member.shortest_way()))
    }

    /// What can be said of the region that a node claims; nothing where it claims none.
    pub fn region_status(&self, member: &Member) -> Option<RegionStatus> {
        let claimed = member.hello.region.as_deref()?;
        if member.known.has_refuted(claimed) {
            return Some(RegionStatus::Refuted);
        }
        self.verdict(member).map(|verdict| watch::status(&verdict))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
