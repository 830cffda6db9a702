//! A member as operators see it.

use openapi::node::Link;
use openapi::nodes::{Breaker, Integrity, Learned, Node, NodeModel};
use std::collections::HashMap;
use std::sync::Arc;

use crate::app::App;
use crate::http::models::{ASK, rounded};
use crate::market::{self, Member, Now};
use crate::route::{self, Gate, Prefix};

/// What several nodes are shown with.
pub(super) struct Shown<'a> {
    app: &'a App,
    now: Now,
    /// Requests in flight, by provider.
    in_flight: HashMap<Arc<str>, u32>,
}

impl<'a> Shown<'a> {
    pub(super) fn new(app: &'a App) -> Self {
        let snapshot = app.market.snapshot();
        let endpoints = snapshot.endpoints().iter();
        let in_flight = endpoints.map(|one| (one.id.clone(), one.in_flight())).collect();
        Self { app, now: app.market.time().now(), in_flight }
    }

    pub(super) fn node(&self, member: &Member) -> Node {
        let (known, hello) = (&member.known, &member.hello);
        Node {
            object: "node".to_owned(),
            id: member.node.to_string(),
            provider: member.provider.to_string(),
            operator: member.operator.to_string(),
            operator_id: member.operator_key.to_string(),
            standing: member.standing(),
            link: match hello.link {
                Link::Tunnel => "tunnel".to_owned(),
                Link::Direct { .. } => "direct".to_owned(),
            },
            remote: member.remote.to_string(),
            software: hello.software.clone(),
            hardware: hello.hardware.clone(),
            region: hello.region.as_deref().map(str::to_owned),
            region_status: self.app.bench.region_status(member),
            rtt_ms: member.round_trip().map(|way| way.as_secs_f64() * 1e3),
            load: member.load(),
            in_flight: self.in_flight.get(&member.provider).copied().unwrap_or_default(),
            models: self.models(member),
            requests: known.requests(),
            answers: known.answers(),
            failures: known.failures(),
            tokens: known.tokens(),
            joined_at_ms: member.joined_ms,
            lease_expires_at_ms: member.lease_expires_at_ms(self.now),
            rented_until_ms: member.rented_until_ms(),
            offer_valid_until_ms: member.on_sale().valid_until_ms,
        }
    }

    fn models(&self, member: &Member) -> Vec<NodeModel> {
        let models = member.hello.models.iter().map(|served| {
            let mut selling = member.selling.iter().enumerate();
            let sold = selling.find(|(_, selling)| selling.model == served.id);
            let learned = sold.and_then(|(at, _)| member.learned(at));
            NodeModel {
                id: served.id.clone(),
                name: sold.map(|(_, selling)| selling.name.clone()),
                verified: sold.is_some_and(|(_, selling)| selling.verified),
                weights_id: served.weights_id.clone(),
                measured: member.known.evidence.measured(&served.id),
                learned: learned.map(|learned| shown(learned, self.now.run_ms)),
                integrity: sold.and_then(|(at, _)| member.integrity(at)).map(|one| audited(one)),
            }
        });
        models.collect()
    }
}

fn audited(integrity: &market::Integrity) -> Integrity {
    let verdicts = integrity.verdicts();
    Integrity {
        lower: rounded(integrity.lower()),
        audited_share: rounded(integrity.share()),
        answers: verdicts.answers,
        passes: verdicts.passes,
        fails: verdicts.fails,
        cusum: rounded(verdicts.cusum.value()),
    }
}

fn shown(learned: &route::Learned, now_ms: u64) -> Learned {
    let facts = learned.facts(&ASK, &Prefix::default(), now_ms);
    let left_ms = |until_ms: u64| until_ms.checked_sub(now_ms).filter(|left| *left > 0);
    let (breaker, breaker_open_ms) = match learned.gate(now_ms) {
        Gate::Closed => (Breaker::Closed, None),
        Gate::Open { until_ms } => (Breaker::Open, left_ms(until_ms)),
        Gate::Probe => (Breaker::ProbeDue, None),
        Gate::Quarantined => (Breaker::Quarantined, None),
    };
    Learned {
        first_token_s: rounded(facts.first_token_s(&ASK)),
        tokens_per_second: rounded(facts.tokens_per_s),
        concurrency: rounded(facts.limit),
        in_flight: facts.in_flight,
        failure: rounded(facts.failure),
        honesty: rounded(facts.honesty),
        breaker,
        breaker_open_ms,
        paused_ms: left_ms(learned.paused_until_ms()),
        unused_ms: match learned.used_ms() {
            0 => None,
            used_ms => Some(now_ms.saturating_sub(used_ms)),
        },
    }
}
