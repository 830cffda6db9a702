//! A node's membership as its connection holds it: what the node says goes in here, and how it ends
//! comes out. Dropped: the node is gone.

use openapi::node::control::{Load, Report};
use openapi::node::{Offer, Standing};
use openapi::sign::Signed;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use super::member::Member;
use super::registry::Inner;

#[derive(Debug)]
pub struct Membership {
    inner: Arc<Inner>,
    member: Arc<Member>,
}

/// Why a lease ends, and whether the node may come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bye {
    pub reason: String,
    pub retry: bool,
}

/// What became of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferSeen {
    pub sequence: u64,
    /// Why it is not in force; absent: it is.
    pub reason: Option<String>,
}

/// Said once.
#[derive(Debug, Default)]
pub(super) struct Ending {
    bye: OnceLock<Bye>,
    ended: CancellationToken,
}

// === impl Ending ===

impl Ending {
    pub(super) fn say(&self, bye: Bye) {
        let _said_before = self.bye.set(bye);
        self.ended.cancel();
    }

    /// Nobody is there to be told why.
    pub(super) fn silently(&self) {
        self.ended.cancel();
    }

    pub(super) async fn said(&self) {
        self.ended.cancelled().await;
    }
}

// === impl Bye ===

impl Bye {
    pub(super) fn new(reason: impl Into<String>, retry: bool) -> Self {
        Self { reason: reason.into(), retry }
    }
}

// === impl Membership ===

impl Membership {
    pub(super) fn new(inner: Arc<Inner>, member: Arc<Member>) -> Self {
        Self { inner, member }
    }

    pub fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// Renews the lease.
    pub fn heartbeat(&self, load: Load) {
        self.inner.renew(&self.member);
        self.member.loaded(load, self.inner.time.run_ms());
    }

    /// New prices; in force at once where nothing is wrong with them.
    pub fn offer(&self, offer: &Signed<Offer>) -> OfferSeen {
        self.inner.reprice(&self.member, offer)
    }

    /// Nothing new from now on; the membership ends `within` this time.
    pub fn drain(&self, within: Duration) {
        self.inner.drain(&self.member, within);
    }

    /// Rented capacity ends then, Unix milliseconds.
    pub fn lease_expires(&self, at_ms: i64) {
        self.member.set_rented_until_ms(at_ms);
    }

    /// A measured way there and back.
    pub fn way(&self, round_trip: Duration) {
        self.member.way(round_trip);
    }

    /// What the gateway thinks of the node.
    pub fn report(&self) -> Report {
        let member = &self.member;
        let (known, figures) = (&member.known, member.known.figures());
        let standing = member.standing();
        let note = match standing {
            Standing::Ejected => {
                self.inner.ejected(&member.node).map(|reason| format!("ejected: {reason}"))
            }
            Standing::Probation => {
                let (answers, of) = (known.answers(), self.inner.config.probation_answers);
                Some(format!("{answers} of {of} good answers"))
            }
            Standing::Active | Standing::Draining | Standing::Gone => None,
        };
        Report {
            standing,
            requests: known.requests(),
            failures: known.failures(),
            tokens: known.tokens(),
            prefill_tps: figures.prefill_tps,
            decode_tps: figures.decode_tps,
            rtt_ms: member.round_trip().map(|way| way.as_secs_f64() * 1e3),
            note,
        }
    }

    /// Resolves when the lease is over, and says why.
    pub async fn ended(&self) -> Bye {
        self.member.ending.ended.cancelled().await;
        let bye = self.member.ending.bye.get().cloned();
        bye.unwrap_or_else(|| Bye::new("the lease is over", true))
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.inner.end(&self.member, Standing::Gone, None);
    }
}
