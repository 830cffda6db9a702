//! How a node joins a gateway, and what the two say to each other from then on.
//!
//! The node dials the gateway's node listener over TLS and, on that one connection, fetches a
//! challenge (`GET /node/v1/challenge`), posts its signed [`Hello`] (`POST /node/v1/join`), gets a
//! signed [`Welcome`] with a lease token, and upgrades the connection (`GET /node/v1/tunnel`,
//! `Upgrade: quorate-node`). From then on the gateway speaks HTTP/2 to the node on it: one long-lived
//! exchange carries the control messages, the others carry requests.

pub mod control;
mod hello;
mod join;
mod offer;

pub use hello::{Capacity, Delegation, Feature, Hardware, Hello, Link, Served};
pub use join::{Challenge, Granted, Selling, Standing, Welcome};
pub use offer::{Offer, Price, Sla};

/// The protocol spoken here.
pub const PROTOCOL: u32 = 1;

/// Where a node dials: what lies below is served on the node listener alone.
pub const CHALLENGE_PATH: &str = "/node/v1/challenge";
pub const JOIN_PATH: &str = "/node/v1/join";
pub const TUNNEL_PATH: &str = "/node/v1/tunnel";
/// Where the gateway opens the exchange of control messages, on the node.
pub const CONTROL_PATH: &str = "/node/v1/control";
/// What the connection is upgraded to.
pub const UPGRADE: &str = "quorate-node";

/// TLS exporter (RFC 8446, 7.5; RFC 5705) that binds a hello to its connection: label and length in
/// bytes; the context is empty.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-quorate-node";
pub const EXPORTER_BYTES: usize = 32;

/// Header of every answer of a node: its load when the answer began.
pub const LOAD_HEADER: &str = "x-quorate-load";

/// Clocks may differ by this much.
pub const CLOCK_SKEW_MS: i64 = 60_000;
/// A longer hello is refused unread.
pub const HELLO_BYTES_MAX: usize = 64 * 1024;
/// A longer control message ends the connection.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Models of one node.
pub const MODELS_MAX: usize = 64;
