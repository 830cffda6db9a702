//! `[market]`: whether and how providers join by themselves. The file's text is checked in
//! `check/market.rs`; this is what comes of it.

use openapi::sign::PublicKey;
use secrecy::SecretString;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Market {
    /// Where nodes dial. Absent: nobody can join.
    pub node_listen: Option<SocketAddr>,
    pub join: Join,
    /// Any of them lets a node join under [`Join::Token`].
    pub tokens: Vec<SecretString>,
    /// Names of nodes; under [`Join::AllowList`] also who may join.
    pub nodes: Vec<Named>,
    /// Names of operators; under [`Join::AllowList`] also whose nodes may join.
    pub operators: Vec<Named>,
    /// The node listener's certificate. Absent: one over the gateway's own key.
    pub tls: Option<TlsFiles>,
    /// Nodes must show a certificate of one of these authorities (PEM).
    pub client_ca: Option<PathBuf>,
    /// Where this gateway is: `eu-west`, or one of `places`.
    pub region: Option<String>,
    /// Places beside those that are known by name.
    pub places: Vec<Place>,
    /// How often a node is to be heard of.
    pub heartbeat: Duration,
    /// A lease ends so long after the last heartbeat.
    pub lease: Duration,
    /// Nodes at once; further ones are refused.
    pub nodes_max: usize,
    /// Connections that have not joined yet; further ones are closed.
    pub joining_max: usize,
    /// Direct links may lead to loopback and private addresses.
    pub direct_private: bool,
    /// Operators on this machine count as being on networks of their own: for trying quorums out.
    pub loopback_apart: bool,
    /// Good answers until a node is no newcomer any more.
    pub probation_answers: u64,
    /// Share of a model's requests that all newcomers get together while others have room.
    pub probation_share: f64,
    /// Whether the speed of nodes is measured.
    pub measure: bool,
    /// How often after the join; zero: at the join alone.
    pub measure_every: Duration,
}

/// Who may join.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Join {
    Open,
    /// Who shows one of the tokens.
    Token,
    /// Nodes and operators that are named.
    AllowList,
    #[default]
    Closed,
}

/// What a key is called here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub key: PublicKey,
    pub name: String,
}

/// Somewhere on earth, degrees.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    pub name: String,
    pub latitude: f64,
    pub longitude: f64,
}

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Code that asks for `from` gets `to`. One `*` stands for any text, and in `to` for the same text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    pub from: String,
    pub to: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawMarket {
    pub(super) node_listen: Option<String>,
    pub(super) join: Option<String>,
    pub(super) tokens: Vec<SecretString>,
    pub(super) node: Vec<RawNamed>,
    pub(super) operator: Vec<RawNamed>,
    pub(super) tls: Option<RawTls>,
    pub(super) client_ca: Option<String>,
    pub(super) region: Option<String>,
    pub(super) place: Vec<RawPlace>,
    pub(super) heartbeat_ms: Option<u64>,
    pub(super) lease_ms: Option<u64>,
    pub(super) nodes_max: Option<u64>,
    pub(super) joining_max: Option<u64>,
    pub(super) direct_private: bool,
    pub(super) loopback_apart: bool,
    pub(super) probation_answers: Option<u64>,
    pub(super) probation_share: Option<f64>,
    pub(super) measure: Option<bool>,
    pub(super) measure_every_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawNamed {
    pub(super) key: Option<String>,
    pub(super) name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPlace {
    pub(super) name: Option<String>,
    pub(super) latitude: Option<f64>,
    pub(super) longitude: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTls {
    pub(super) cert: Option<String>,
    pub(super) key: Option<String>,
}

// === impl Market ===

impl Default for Market {
    fn default() -> Self {
        Self {
            node_listen: None,
            join: Join::default(),
            tokens: Vec::new(),
            nodes: Vec::new(),
            operators: Vec::new(),
            tls: None,
            client_ca: None,
            region: None,
            places: Vec::new(),
            heartbeat: Duration::from_secs(5),
            lease: Duration::from_secs(15),
            nodes_max: 16_384,
            joining_max: 256,
            direct_private: false,
            loopback_apart: false,
            probation_answers: 30,
            probation_share: 0.02,
            measure: true,
            measure_every: Duration::from_secs(6 * 3600),
        }
    }
}
