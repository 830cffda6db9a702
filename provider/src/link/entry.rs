//! How it stands with one gateway, written by its link and read for the status.

use crate::status::{self, Lease, Phase};
use openapi::node::Granted;
use openapi::node::control::Report;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::watch;
use url::Url;

#[derive(Debug)]
pub struct Entry {
    now: watch::Sender<status::Gateway>,
    requests: AtomicU64,
}

impl Entry {
    pub(super) fn new(url: &Url) -> Self {
        Self {
            now: watch::Sender::new(status::Gateway {
                url: url.as_str().trim_end_matches('/').to_owned(),
                phase: Phase::default(),
                trouble: None,
                joined: 0,
                requests: 0,
                lease: None,
            }),
            requests: AtomicU64::new(0),
        }
    }

    pub fn status(&self) -> status::Gateway {
        status::Gateway { requests: self.requests.load(Relaxed), ..self.now.borrow().clone() }
    }

    /// Follows it.
    pub(super) fn follow(&self) -> watch::Receiver<status::Gateway> {
        self.now.subscribe()
    }

    fn with_lease(&self, change: impl FnOnce(&mut Lease)) {
        self.now.send_modify(|now| {
            if let Some(lease) = &mut now.lease {
                change(lease);
            }
        });
    }

    pub(super) fn asked(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(super) fn connecting(&self) {
        self.now.send_modify(|now| now.phase = Phase::Connecting);
    }

    pub(super) fn joined(&self, granted: &Granted, offer: u64, now_ms: i64) {
        self.now.send_modify(|now| {
            now.phase = Phase::Connected;
            now.trouble = None;
            now.joined += 1;
            now.lease = Some(Lease {
                id: granted.lease_id.clone(),
                gateway: granted.gateway,
                provider: granted.provider.clone(),
                standing: granted.standing,
                selling: granted.selling.clone(),
                since_ms: now_ms,
                renewed_ms: None,
                lease_ms: granted.lease_ms,
                offer: Some(offer),
                offer_refused: None,
                report: None,
            });
        });
    }

    /// The lease is over. False where the trouble is the same as before.
    pub(super) fn left(&self, phase: Phase, trouble: String) -> bool {
        let mut is_new = false;
        self.now.send_modify(|now| {
            now.phase = phase;
            now.lease = None;
            is_new = now.trouble.as_ref() != Some(&trouble);
            now.trouble = Some(trouble);
        });
        is_new
    }

    pub(super) fn renewed(&self, now_ms: i64) {
        self.with_lease(|lease| lease.renewed_ms = Some(now_ms));
    }

    pub(super) fn offer_seen(&self, sequence: u64, reason: Option<String>) {
        self.with_lease(|lease| match reason {
            None => (lease.offer, lease.offer_refused) = (Some(sequence), None),
            Some(reason) => lease.offer_refused = Some(reason),
        });
    }

    pub(super) fn report(&self, report: Report) {
        self.with_lease(|lease| {
            lease.standing = report.standing;
            lease.report = Some(report);
        });
    }
}
