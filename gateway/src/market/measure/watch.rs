//! What changed about a member since it was last looked at, put on record.

use openapi::node::Standing;
use openapi::nodes::{EvidenceKind, EvidenceVerdict, RegionStatus};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::Bench;
use crate::market::Member;
use crate::market::evidence::{note, record, signed};
use crate::market::region::Verdict;

/// A member as it was last seen.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) lease_id: Arc<str>,
    /// When it is to be measured, in the market's running milliseconds.
    pub(super) due_ms: Arc<AtomicU64>,
    offer: Option<u64>,
    standing: Standing,
    region: RegionStatus,
    samples: u32,
}

impl Watched {
    /// A member that was not seen before: its join is put on record.
    pub(super) fn new(member: &Member, due_ms: u64) -> Self {
        let mut joined = record(member.joined_ms, EvidenceKind::Join, EvidenceVerdict::Ok);
        joined.statement_sha256 = Some(hex::encode(member.hello.sha256));
        member.known.evidence.push(joined);
        Self {
            lease_id: member.lease_id.clone(),
            due_ms: Arc::new(AtomicU64::new(due_ms)),
            offer: None,
            standing: member.standing(),
            region: RegionStatus::Unknown,
            samples: 0,
        }
    }

    /// New prices, and another standing.
    pub(super) fn changes(&mut self, member: &Member, unix_ms: i64) {
        let evidence = &member.known.evidence;
        let on_sale = member.on_sale();
        if self.offer.replace(on_sale.sequence) != Some(on_sale.sequence) {
            let (kind, verdict) = (EvidenceKind::Offer, EvidenceVerdict::Ok);
            evidence.push(signed(unix_ms, kind, verdict, &on_sale.signed));
        }
        let standing = member.standing();
        if std::mem::replace(&mut self.standing, standing) != standing {
            let mut changed = record(unix_ms, EvidenceKind::Standing, EvidenceVerdict::Ok);
            changed.note = Some(word(standing).to_owned());
            evidence.push(changed);
        }
    }
}

impl Bench {
    /// Judges the claimed region by the ways measured so far. One that can't be true ends the lease.
    pub(super) fn check_region(&self, member: &Arc<Member>, watched: &mut Watched, unix_ms: i64) {
        let Some(way) = member.shortest_way() else { return };
        if way.samples == watched.samples {
            return;
        }
        watched.samples = way.samples;
        let (Some(claimed), Some(verdict)) = (&member.hello.region, self.verdict(member)) else {
            return;
        };
        let status = status(&verdict);
        if std::mem::replace(&mut watched.region, status) == status {
            return;
        }
        let mut judged = record(unix_ms, EvidenceKind::Region, EvidenceVerdict::Ok);
        judged.rtt_ms = Some(way.shortest.as_secs_f64() * 1e3);
        judged.samples = Some(way.samples);
        judged.note = Some(note(&format!("{claimed}: {}", region_word(status))));
        if let Verdict::Refuted(why) = verdict {
            judged.verdict = EvidenceVerdict::Refuted;
            judged.note = Some(note(&format!("{claimed}: {why}")));
            tracing::warn!(provider = %member.provider, %claimed, %why, "region refuted");
            self.market.refute_region(member, &why.to_string());
        }
        member.known.evidence.push(judged);
    }
}

pub(super) fn status(verdict: &Verdict) -> RegionStatus {
    match verdict {
        Verdict::Unconfirmed => RegionStatus::Unconfirmed,
        Verdict::Unknown => RegionStatus::Unknown,
        Verdict::Refuted(_) => RegionStatus::Refuted,
    }
}

fn region_word(status: RegionStatus) -> &'static str {
    match status {
        RegionStatus::Unconfirmed => "unconfirmed",
        RegionStatus::Refuted => "refuted",
        RegionStatus::Unknown => "unknown",
    }
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Probation => "probation",
        Standing::Active => "active",
        Standing::Draining => "draining",
        Standing::Ejected => "ejected",
        Standing::Gone => "gone",
    }
}
