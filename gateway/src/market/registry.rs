//! The life of a membership: admitted, attached, repriced, drained, reaped, sent away. Each change is
//! made in the table and told to the writer; what a heartbeat changes is in the member alone.

use arc_swap::ArcSwap;
use openapi::node::{Granted, Hello, Offer, Standing, Welcome};
use openapi::sign::{PublicKey, SecretKey, Signed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

use super::catalogue::Catalogue;
use super::gate::Gate;
use super::hello::{self, Expected, Verified};
use super::join::{Admission, LeaseToken, Place, Presented};
use super::member::{Facts, Joined, Member};
use super::membership::{Bye, Membership, OfferSeen};
use super::offer;
use super::refusal::Refusal;
use super::snapshot::Snapshot;
use super::table::Table;
use super::time::{Time, millis};
use super::writer;
use crate::auth::{Digest, digest};
use crate::config::{self, Settings};
use crate::route::breaker;
use crate::upstream::Endpoint;

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) config: config::Market,
    breaker: breaker::Rules,
    pub(super) identity: Arc<SecretKey>,
    pub(super) time: Arc<Time>,
    pub(super) snapshot: ArcSwap<Snapshot>,
    /// Something is to be published.
    pub(super) changed: Notify,
    /// Held while a snapshot is made: there is one writer.
    pub(super) publishing: Mutex<writer::Base>,
    gate: Gate,
    catalogue: Catalogue,
    table: Mutex<Table>,
}

// === impl Inner ===

impl Inner {
    pub(super) fn new(
        settings: &Settings,
        identity: Arc<SecretKey>,
        time: Arc<Time>,
        mut base: writer::Base,
    ) -> Self {
        let config = settings.market.clone();
        Self {
            gate: Gate::new(settings),
            catalogue: Catalogue::new(settings),
            table: Mutex::new(Table::new(config.nodes_max)),
            config,
            breaker: settings.breaker.rules,
            identity,
            time,
            snapshot: ArcSwap::from_pointee(base.first()),
            changed: Notify::new(),
            publishing: Mutex::new(base),
        }
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn admit(self: &Arc<Self>, presented: &Presented<'_>) -> Result<Admission, Refusal> {
        self.gate.token(presented.join_token)?;
        let now = self.time.now();
        let expected = Expected {
            gateway: self.identity.public(),
            exporter: &presented.exporter,
            nonce: presented.nonce,
            now_ms: now.unix_ms,
        };
        let verified = hello::verify(presented.hello, &expected)?;
        let (node, operator_key) = (verified.hello.node, verified.operator);
        self.gate.list(&node, &operator_key)?;
        let names = self.gate.names(&node, &operator_key)?;
        let selling = self.catalogue.selling(&verified.hello.models, &names.provider)?;
        let token = random_hex::<32>()?;
        let token_digest = Digest::of(token.as_bytes());
        let (known, place) = {
            let mut table = self.table();
            judged(&table, &verified)?;
            let id = table.reserve(node, &names.provider, token_digest)?;
            (table.knowns.asked(&node), Place::new(self.clone(), id))
        };
        let is_veteran = known.answers() >= self.config.probation_answers;
        let link = verified.hello.link.clone();
        let lease_id: Arc<str> = random_hex::<8>()?.into();
        let joined = Joined {
            node,
            operator_key,
            provider: names.provider.clone(),
            operator: names.operator.clone(),
            lease_id,
            remote: presented.remote,
            rented_until_ms: verified.hello.lease_expires_at_ms,
            hello: facts(verified.hello, presented.hello),
            selling,
            on_sale: verified.on_sale,
            known,
            standing: if is_veteran { Standing::Active } else { Standing::Probation },
            graduates_at: self.config.probation_answers,
            token: token_digest,
            breaker: self.breaker,
        };
        let member = Arc::new(Member::new(joined, now, millis(self.config.lease)));
        let welcome = self.welcome(&member, presented, &token)?;
        let token = LeaseToken::new(token);
        let (provider, operator) = (names.provider, names.operator);
        Ok(Admission { welcome, node, provider, operator, link, token, member, place })
    }

    fn welcome(
        &self,
        member: &Member,
        presented: &Presented<'_>,
        token: &str,
    ) -> Result<Welcome, Refusal> {
        let granted = Granted {
            gateway: self.identity.public(),
            node: member.node,
            exporter: hex::encode(presented.exporter),
            hello_sha256: hex::encode(member.hello.sha256),
            lease_id: member.lease_id.to_string(),
            lease_ms: millis(self.config.lease),
            heartbeat_ms: millis(self.config.heartbeat),
            standing: member.standing(),
            provider: member.provider.to_string(),
            selling: member.selling.clone(),
        };
        let granted = Signed::new(&granted, &self.identity).map_err(|_| Refusal::Internal)?;
        Ok(Welcome { granted, token: token.to_owned() })
    }

    pub(super) fn attach(
        self: &Arc<Self>,
        admission: Admission,
        endpoint: Arc<Endpoint>,
    ) -> Membership {
        let Admission { member, place, .. } = admission;
        self.renew(&member);
        let place = place.taken();
        let (earlier, against) = {
            let mut table = self.table();
            let earlier = table.sit(place, &member, endpoint);
            let against = against(&table, &member);
            if against.is_some() {
                table.rise(&member.node, Some(&member));
            }
            (earlier, against)
        };
        member.known.offered(member.on_sale().sequence);
        if against.is_none() {
            member.begins();
        }
        if let Some(earlier) = earlier {
            earlier.set_standing(Standing::Gone);
            earlier.ending.say(Bye::new("a newer connection of the node took its place", false));
        }
        if let Some((standing, bye)) = against {
            member.set_standing(standing);
            member.ending.say(bye);
        }
        self.changed.notify_one();
        Membership::new(self.clone(), member)
    }

    pub(super) fn renew(&self, member: &Member) {
        member.renew(self.time.run_ms().saturating_add(millis(self.config.lease)));
    }

    /// Ends a seat, if it is still this member's, and says why.
    pub(super) fn end(&self, member: &Arc<Member>, standing: Standing, bye: Option<Bye>) {
        member.set_standing(standing);
        let risen = self.table().rise(&member.node, Some(member));
        match bye {
            Some(bye) => member.ending.say(bye),
            None => member.ending.silently(),
        }
        if risen.is_some() {
            self.changed.notify_one();
        }
    }

    pub(super) fn give_back(&self, place: u64) {
        self.table().give_back(place);
    }

    pub(super) fn reprice(&self, member: &Arc<Member>, signed: &Signed<Offer>) -> OfferSeen {
        let now = self.time.now();
        let sequence = signed.claims().map(|offer| offer.sequence).unwrap_or_default();
        let seen = |reason: Option<String>| OfferSeen { sequence, reason };
        let on_sale = match offer::on_sale(signed, member.node, &member.hello.models, now.unix_ms) {
            Ok(on_sale) => on_sale,
            Err(refusal) => return seen(Some(refusal.to_string())),
        };
        match member.reprice(on_sale) {
            Ok(()) => seen(None),
            Err(current) => seen(Some(format!("its sequence is not above {current}"))),
        }
    }

    pub(super) fn drain(&self, member: &Arc<Member>, within: Duration) {
        member.end_by(self.time.run_ms().saturating_add(millis(within)));
        member.set_standing(Standing::Draining);
    }

    /// Ends what is over. Called once a second.
    pub(super) fn reap(&self) {
        let now_ms = self.time.run_ms();
        let over: Vec<Arc<Member>> =
            self.table().members().filter(|member| member.is_over(now_ms)).cloned().collect();
        for member in over {
            let bye = match member.standing() {
                Standing::Draining => Bye::new("drained", false),
                _ => Bye::new("no heartbeat in time", true),
            };
            tracing::info!(provider = &*member.provider, reason = bye.reason, "a lease is over");
            self.end(&member, Standing::Gone, Some(bye));
        }
        if self.table().graduate() {
            self.changed.notify_one();
        }
    }

    pub(super) fn eject(&self, node: &PublicKey, reason: &str) -> bool {
        let member = {
            let mut table = self.table();
            table.knowns.eject(*node, reason);
            table.member(node).cloned()
        };
        if let Some(member) = &member {
            let bye = Bye::new(format!("ejected: {reason}"), false);
            self.end(member, Standing::Ejected, Some(bye));
        }
        member.is_some()
    }

    pub(super) fn ejected(&self, node: &PublicKey) -> Option<Arc<str>> {
        self.table().knowns.ejected(node).cloned()
    }
}

/// Whether what is known of the node speaks against it.
fn judged(table: &Table, verified: &Verified) -> Result<(), Refusal> {
    let hello = &verified.hello;
    if let Some(reason) = table.knowns.ejected(&hello.node) {
        return Err(Refusal::Ejected(reason.to_string()));
    }
    let Some(known) = table.knowns.get(&hello.node) else { return Ok(()) };
    if verified.on_sale.sequence < known.offer_sequence() {
        return Err(Refusal::OfferInvalid {
            param: "offer.sequence".to_owned(),
            what: "is lower than that of an earlier offer".into(),
        });
    }
    match &hello.region {
        Some(claimed) if known.has_refuted(claimed) => Err(Refusal::RegionRefuted(claimed.clone())),
        _ => Ok(()),
    }
}

/// What came to be known of the node between its hello and now, and speaks against it.
fn against(table: &Table, member: &Member) -> Option<(Standing, Bye)> {
    if let Some(reason) = table.knowns.ejected(&member.node) {
        return Some((Standing::Ejected, Bye::new(format!("ejected: {reason}"), false)));
    }
    let claimed = member.hello.region.as_ref();
    if let Some(claimed) = claimed.filter(|claimed| member.known.has_refuted(claimed)) {
        let refusal = Refusal::RegionRefuted(claimed.to_string());
        return Some((Standing::Gone, Bye::new(format!("{}: {refusal}", refusal.code()), false)));
    }
    // Meanwhile it repriced on another connection: it is to say its latest offer.
    (member.on_sale().sequence < member.known.offer_sequence())
        .then(|| (Standing::Gone, Bye::new("its offer is not its latest one", true)))
}

fn facts(hello: Hello, signed: &Signed<Hello>) -> Facts {
    Facts {
        sha256: digest(signed.statement.as_bytes()),
        link: hello.link,
        hardware: hello.hardware,
        models: hello.models,
        region: hello.region.map(Arc::from),
        capacity: hello.capacity,
        software: hello.software,
    }
}

fn random_hex<const N: usize>() -> Result<String, Refusal> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Refusal::Internal)?;
    Ok(hex::encode(bytes))
}
