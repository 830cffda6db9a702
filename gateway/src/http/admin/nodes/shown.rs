//! A member as operators see it.

use openapi::node::Link;
use openapi::nodes::{Node, NodeModel};
use std::collections::HashMap;
use std::sync::Arc;

use crate::app::App;
use crate::market::{Member, Now};

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
            models: models(member),
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
}

fn models(member: &Member) -> Vec<NodeModel> {
    let models = member.hello.models.iter().map(|served| {
        let sold = member.selling.iter().find(|selling| selling.model == served.id);
        NodeModel {
            id: served.id.clone(),
            name: sold.map(|selling| selling.name.clone()),
            verified: sold.is_some_and(|selling| selling.verified),
            weights_id: served.weights_id.clone(),
            measured: member.known.evidence.measured(&served.id),
        }
    });
    models.collect()
}
