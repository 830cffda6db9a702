//! A market and its clock.

use gateway::clock::Manual;
use gateway::config;
use gateway::market::testing::{Error, Node, served};
use gateway::market::{Market, Refusal};
use openapi::node::Served;
use openapi::sign::SecretKey;
use std::sync::Arc;
use std::time::Duration;

/// 2026-01-01, in milliseconds.
pub(crate) const NOW_MS: u64 = 1_767_225_600_000;

/// Weights that are listed for `acme/m`.
pub(crate) fn listed() -> String {
    format!("b3:{}", "a1".repeat(32))
}

pub(crate) fn unlisted() -> String {
    format!("b3:{}", "b2".repeat(32))
}

/// The catalogue of most tests.
pub(crate) fn catalogue() -> String {
    format!("[[model]]\nid = \"acme/m\"\naliases = [\"m-old\"]\nweights_ids = [{:?}]\n", listed())
}

/// The listed model, as a node serves it.
pub(crate) fn acme() -> Vec<Served> {
    vec![served("acme/m", Some(&listed()))]
}

/// A configuration with an open market; `market` are more members of `[market]`, `more` what follows.
pub(crate) fn settings(market: &str, more: &str) -> config::Settings {
    let join = if market.contains("join =") { "" } else { "join = \"open\"" };
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n\
         data_dir = \"/nowhere\"\n[auth]\nmode = \"open\"\n\
         [audit]\nenabled = false\n\
         [market]\nnode_listen = \"127.0.0.1:0\"\n{join}\n{market}\n{more}"
    );
    config::parse(&text, &|_| None).expect("valid settings")
}

pub(crate) fn market(market: &str, more: &str) -> (Market, Arc<Manual>) {
    let clock = Arc::new(Manual::new(NOW_MS));
    let settings = settings(market, more);
    let identity = Arc::new(SecretKey::from_seed(&[42; 32]));
    (Market::new(&settings, identity, clock.clone()).expect("a market"), clock)
}

pub(crate) fn url() -> url::Url {
    "http://127.0.0.1:1/v1".parse().expect("a URL")
}

pub(crate) fn refused(node: &Node, market: &Market) -> Refusal {
    refusal(node.ask(market).map(drop))
}

pub(crate) fn refusal(result: Result<(), Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

/// Names of the providers of a model, as the snapshot has them.
pub(crate) fn providers(market: &Market, model: &str) -> Vec<String> {
    let snapshot = market.snapshot();
    let model = snapshot.model(model);
    let offers = model.into_iter().flat_map(|model| &model.offers);
    offers.map(|offer| offer.endpoint.id.to_string()).collect()
}

/// Whether a request of no length may go to the only node that sells the model.
pub(crate) fn is_open(market: &Market, model: &str) -> bool {
    let snapshot = market.snapshot();
    let model = snapshot.model(model).expect("the model");
    let member = model.offers.iter().find_map(|offer| offer.member()).expect("a node's offer");
    member.is_open(market.time().now(), Duration::ZERO)
}
