//! A node that has joined: what it said, and the few atomic numbers that change while its lease lasts.
//! Readers of the snapshot see it; it refuses nothing and chooses nothing.

use arc_swap::ArcSwap;
use openapi::node::control::Load;
use openapi::node::{Capacity, Hardware, Link, Offer, Selling, Served, Sla, Standing};
use openapi::sign::{PublicKey, Signed};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::integrity::Integrity;
use super::known::{Figures, Known};
use super::membership::Ending;
use super::region::Way;
use super::time::Now;
use crate::auth::Digest;
use crate::route::{Learned, Prior, breaker};

/// No new request is sent so long before rented capacity ends.
pub const RENTED_MARGIN: Duration = Duration::from_secs(60);

/// Load that was never told.
const UNTOLD: u64 = u64::MAX;

#[derive(Debug)]
pub struct Member {
    pub node: PublicKey,
    pub operator_key: PublicKey,
    /// What it is called here.
    pub provider: Arc<str>,
    pub operator: Arc<str>,
    pub lease_id: Arc<str>,
    pub remote: SocketAddr,
    pub hello: Facts,
    /// Under which names its models are sold.
    pub selling: Vec<Selling>,
    /// Unix milliseconds.
    pub joined_ms: i64,
    pub known: Arc<Known>,
    /// Of the names in `selling`, what is learned of it.
    learned: Vec<Arc<Learned>>,
    /// And what audits have shown.
    integrity: Vec<Arc<Integrity>>,
    pub(super) on_sale: ArcSwap<OnSale>,
    /// Of what is on sale, Unix milliseconds: read by each choice, which has no time for the way there.
    sold_until_ms: AtomicI64,
    pub(super) ending: Ending,
    pub(super) token: Digest,
    graduates_at: u64,
    standing: AtomicU8,
    /// Running milliseconds at which the lease ends.
    lease_until_ms: AtomicU64,
    /// Running milliseconds at which it ends whatever it says: a drain's.
    ends_by_ms: AtomicU64,
    /// Unix milliseconds at which rented capacity ends.
    rented_until_ms: AtomicI64,
    /// Running and waiting requests, 32 bits each.
    load: AtomicU64,
    /// Share of the KV cache in use, as the bits of an f32.
    kv_used: AtomicU32,
    /// The shortest way there and back, in microseconds; 0: none measured.
    round_trip_us: AtomicU64,
    /// How many ways there and back were measured.
    round_trips: AtomicU32,
}

/// What of a hello is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// SHA-256 of the hello's statement.
    pub sha256: [u8; 32],
    pub link: Link,
    pub hardware: Hardware,
    pub models: Vec<Served>,
    pub region: Option<Arc<str>>,
    pub capacity: Capacity,
    pub software: String,
}

/// The offer in force.
#[derive(Debug, Clone)]
pub struct OnSale {
    /// As the node said it.
    pub signed: Signed<Offer>,
    pub sequence: u64,
    /// Unix milliseconds; from then on nothing is sold.
    pub valid_until_ms: i64,
    pub sla: Option<Sla>,
    /// Of each served model, in their order.
    pub prices: Vec<Prices>,
}

/// Dollars per million tokens. Absent: not known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Prices {
    pub prompt: Option<f64>,
    /// For prompt tokens that were in the provider's cache.
    pub cached: Option<f64>,
    pub completion: Option<f64>,
}

// === impl Prices ===

impl Prices {
    /// A price that nobody named counts as nothing, and a cached prompt's as any prompt's.
    pub(super) fn tell(&self, learned: &Learned) {
        let prompt = self.prompt.unwrap_or_default();
        learned.price(prompt, self.cached.unwrap_or(prompt), self.completion.unwrap_or_default());
    }
}

/// What a member begins with.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) node: PublicKey,
    pub(super) operator_key: PublicKey,
    pub(super) provider: Arc<str>,
    pub(super) operator: Arc<str>,
    pub(super) lease_id: Arc<str>,
    pub(super) remote: SocketAddr,
    pub(super) hello: Facts,
    pub(super) selling: Vec<Selling>,
    pub(super) on_sale: OnSale,
    pub(super) known: Arc<Known>,
    pub(super) standing: Standing,
    /// Good answers until probation is over.
    pub(super) graduates_at: u64,
    /// Digest of the lease token.
    pub(super) token: Digest,
    /// Unix milliseconds.
    pub(super) rented_until_ms: Option<i64>,
    pub(super) breaker: breaker::Rules,
}

// === impl Member ===

impl Member {
    pub(super) fn new(joined: Joined, now: Now, lease_ms: u64) -> Self {
        let prior = Prior {
            advertised: Some(bears(&joined.hello.capacity)),
            tokens_per_s: speed(joined.known.figures()),
            breaker: joined.breaker,
            ..Prior::default()
        };
        let of = |selling: &Selling| joined.known.learned(&selling.name, selling.verified, &prior);
        let learned = joined.selling.iter().map(of).collect();
        let of = |selling: &Selling| joined.known.integrity(&selling.name, selling.verified);
        let integrity = joined.selling.iter().map(of).collect();
        Self {
            learned,
            integrity,
            node: joined.node,
            operator_key: joined.operator_key,
            provider: joined.provider,
            operator: joined.operator,
            lease_id: joined.lease_id,
            remote: joined.remote,
            hello: joined.hello,
            selling: joined.selling,
            joined_ms: now.unix_ms,
            known: joined.known,
            sold_until_ms: AtomicI64::new(joined.on_sale.valid_until_ms),
            on_sale: ArcSwap::from_pointee(joined.on_sale),
            ending: Ending::default(),
            token: joined.token,
            graduates_at: joined.graduates_at,
            standing: AtomicU8::new(code(joined.standing)),
            ends_by_ms: AtomicU64::new(u64::MAX),
            lease_until_ms: AtomicU64::new(now.run_ms.saturating_add(lease_ms)),
            rented_until_ms: AtomicI64::new(joined.rented_until_ms.unwrap_or(i64::MAX)),
            load: AtomicU64::new(UNTOLD),
            kv_used: AtomicU32::new(f32::NAN.to_bits()),
            round_trip_us: AtomicU64::new(0),
            round_trips: AtomicU32::new(0),
        }
    }

    /// Of one of the names in `selling`, by its place there.
    pub fn learned(&self, at: usize) -> Option<&Arc<Learned>> {
        self.learned.get(at)
    }

    /// Of one of the names in `selling`.
    pub fn integrity(&self, at: usize) -> Option<&Arc<Integrity>> {
        self.integrity.get(at)
    }

    /// What it asks and can bear counts from here on, and not from a hello on that leads to no lease.
    pub(super) fn begins(&self) {
        let requests = bears(&self.hello.capacity);
        self.learned.iter().for_each(|learned| learned.advertise(Some(requests)));
        self.tell_prices();
    }

    /// Where a name stands for several of its models, the last one's count.
    fn tell_prices(&self) {
        if matches!(self.standing(), Standing::Ejected | Standing::Gone) {
            return;
        }
        for (selling, learned) in self.selling.iter().zip(&self.learned) {
            let place = self.hello.models.iter().position(|served| served.id == selling.model);
            place.into_iter().for_each(|place| self.prices(place).tell(learned));
        }
    }

    pub fn standing(&self) -> Standing {
        standing(self.standing.load(Relaxed))
    }

    /// Not back from where there is no way back.
    pub(super) fn set_standing(&self, to: Standing) {
        let allowed = |from| match standing(from) {
            Standing::Probation | Standing::Active => true,
            Standing::Draining => matches!(to, Standing::Ejected | Standing::Gone),
            Standing::Ejected | Standing::Gone => false,
        };
        let _unchanged =
            self.standing.fetch_update(Relaxed, Relaxed, |from| allowed(from).then_some(code(to)));
    }

    /// Whether a request may go there that takes about so long: it stands well, its lease, its offer
    /// and its capacity last.
    pub fn is_open(&self, now: Now, expected: Duration) -> bool {
        let stands = matches!(self.standing(), Standing::Probation | Standing::Active);
        stands
            && now.run_ms < self.lease_until_ms.load(Relaxed)
            && now.unix_ms < self.sold_until_ms.load(Relaxed)
            && !self.ends_within(now, expected.max(RENTED_MARGIN))
    }

    /// Whether rented capacity ends within `margin`.
    pub fn ends_within(&self, now: Now, margin: Duration) -> bool {
        let margin = i64::try_from(margin.as_millis()).unwrap_or(i64::MAX);
        now.unix_ms.saturating_add(margin) >= self.rented_until_ms.load(Relaxed)
    }

    /// Unix milliseconds at which rented capacity ends.
    pub fn rented_until_ms(&self) -> Option<i64> {
        Some(self.rented_until_ms.load(Relaxed)).filter(|at| *at != i64::MAX)
    }

    pub(super) fn set_rented_until_ms(&self, at_ms: i64) {
        self.rented_until_ms.store(at_ms, Relaxed);
    }

    /// The offer in force; a later one takes its place at once.
    pub fn on_sale(&self) -> arc_swap::Guard<Arc<OnSale>> {
        self.on_sale.load()
    }

    /// Of the served model at `place`.
    pub fn prices(&self, place: usize) -> Prices {
        self.on_sale.load().prices.get(place).copied().unwrap_or_default()
    }

    /// As last told, in a heartbeat or with an answer.
    pub fn load(&self) -> Option<Load> {
        let packed = Some(self.load.load(Relaxed)).filter(|packed| *packed != UNTOLD)?;
        let kv_used = f32::from_bits(self.kv_used.load(Relaxed));
        let [a, b, c, d, e, f, g, h] = packed.to_be_bytes();
        Some(Load {
            running: u32::from_be_bytes([a, b, c, d]),
            queued: u32::from_be_bytes([e, f, g, h]),
            kv_used: Some(kv_used).filter(|used| used.is_finite()),
        })
    }

    /// A load that the node told, at this moment in running milliseconds.
    pub fn loaded(&self, load: Load, now_ms: u64) {
        let requests = load.running.saturating_add(load.queued);
        self.learned.iter().for_each(|learned| learned.told(requests, now_ms));
        self.load.store((u64::from(load.running) << 32) | u64::from(load.queued), Relaxed);
        let kv_used = load.kv_used.filter(|used| (0.0..=1.0).contains(used));
        self.kv_used.store(kv_used.unwrap_or(f32::NAN).to_bits(), Relaxed);
    }

    pub(super) fn renew(&self, until_run_ms: u64) {
        self.lease_until_ms.fetch_max(until_run_ms, Relaxed);
    }

    /// Unix milliseconds at which the lease ends unless it is renewed.
    pub fn lease_expires_at_ms(&self, now: Now) -> i64 {
        let left = self.lease_until_ms.load(Relaxed).saturating_sub(now.run_ms);
        now.unix_ms.saturating_add_unsigned(left)
    }

    pub(super) fn end_by(&self, run_ms: u64) {
        self.ends_by_ms.fetch_min(run_ms, Relaxed);
    }

    /// Whether the lease has run out, or the drain is over.
    pub(super) fn is_over(&self, run_ms: u64) -> bool {
        run_ms >= self.lease_until_ms.load(Relaxed).min(self.ends_by_ms.load(Relaxed))
    }

    /// Puts a later offer in force.
    ///
    /// # Errors
    /// It is not later than the one of the sequence that is returned.
    pub(super) fn reprice(&self, on_sale: OnSale) -> Result<(), u64> {
        let next = Arc::new(on_sale);
        let swap = |current: &Arc<OnSale>| match next.sequence > current.sequence {
            true => next.clone(),
            false => current.clone(),
        };
        let before = self.on_sale.rcu(swap).sequence;
        match next.sequence > before {
            true => {
                self.known.offered(next.sequence);
                self.tell_prices();
                // Of the one that is in force now, whoever told it.
                self.sold_until_ms.store(self.on_sale.load().valid_until_ms, Relaxed);
                Ok(())
            }
            false => Err(before),
        }
    }

    /// A request was sent there.
    pub fn asked(&self) {
        self.known.asked();
    }

    /// A request got its whole answer; so many good ones end the probation.
    pub fn answered(&self, tokens: u64) {
        let answers = self.known.answered(tokens);
        if answers >= self.graduates_at && self.standing() == Standing::Probation {
            self.set_standing(Standing::Active);
        }
    }

    /// A request failed there.
    pub fn failed(&self) {
        self.known.failed();
    }

    /// The shortest way there and back.
    pub fn round_trip(&self) -> Option<Duration> {
        Some(self.round_trip_us.load(Relaxed)).filter(|us| *us > 0).map(Duration::from_micros)
    }

    /// The shortest way there and back, out of how many.
    pub fn shortest_way(&self) -> Option<Way> {
        let samples = self.round_trips.load(Relaxed);
        self.round_trip().map(|shortest| Way { shortest, samples })
    }

    pub(super) fn way(&self, round_trip: Duration) {
        let us = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX).max(1);
        let shorter = |known| (known == 0 || us < known).then_some(us);
        if self.round_trip_us.fetch_update(Relaxed, Relaxed, shorter).is_ok() {
            let round_trip_s = Duration::from_micros(us).as_secs_f32();
            self.learned.iter().for_each(|learned| learned.round_trip(round_trip_s));
        }
        self.round_trips.fetch_add(1, Relaxed);
    }

    /// Resolves when the lease is told to be over.
    pub async fn over(&self) {
        self.ending.said().await;
    }

    /// Of the served model at `place`.
    pub fn served(&self, place: usize) -> Option<&Served> {
        self.hello.models.get(place)
    }
}

fn speed(figures: Figures) -> Option<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "a speed")]
    figures.decode_tps.filter(|speed| *speed > 0.0).map(|speed| speed as f32)
}

/// Requests that a node takes at once, those that it lets wait among them: how many of them are too many is
/// learned.
fn bears(capacity: &Capacity) -> u32 {
    capacity.running_max.saturating_add(capacity.queued_max)
}

fn code(standing: Standing) -> u8 {
    match standing {
        Standing::Probation => 0,
        Standing::Active => 1,
        Standing::Draining => 2,
        Standing::Ejected => 3,
        Standing::Gone => 4,
    }
}

fn standing(code: u8) -> Standing {
    match code {
        0 => Standing::Probation,
        1 => Standing::Active,
        2 => Standing::Draining,
        3 => Standing::Ejected,
        _ => Standing::Gone,
    }
}
