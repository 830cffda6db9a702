//! A hello becomes a reservation, and a reservation with a link becomes a membership.

use openapi::node::{Hello, Link, Welcome};
use openapi::sign::{PublicKey, Signed};
use secrecy::{ExposeSecret as _, SecretString};
use std::net::SocketAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq as _;

use super::Market;
use super::member::Member;
use super::membership::Membership;
use super::refusal::Refusal;
use super::registry::Inner;
use crate::upstream::Endpoint;

/// A hello and what the connection it came on says of it.
#[derive(Debug)]
pub struct Presented<'a> {
    pub hello: &'a Signed<Hello>,
    pub join_token: Option<&'a str>,
    /// The exporter's value of the connection.
    pub exporter: [u8; 32],
    /// The challenge given on the connection.
    pub nonce: &'a str,
    pub remote: SocketAddr,
}

/// A place kept for a node. Dropped unattached it is given back.
#[derive(Debug)]
pub struct Admission {
    pub welcome: Welcome,
    pub node: PublicKey,
    pub provider: Arc<str>,
    pub operator: Arc<str>,
    pub link: Link,
    pub token: LeaseToken,
    pub(super) member: Arc<Member>,
    pub(super) place: Place,
}

/// The bearer token of a lease.
pub struct LeaseToken(SecretString);

/// A place in the table that is not taken yet.
#[derive(Debug)]
pub(super) struct Place {
    inner: Arc<Inner>,
    id: u64,
    is_taken: bool,
}

// === impl Market ===

impl Market {
    /// Judges a hello and reserves a lease. That the challenge is used once is the caller's to guard.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, presented: &Presented<'_>) -> Result<Admission, Refusal> {
        self.inner.admit(presented)
    }

    /// From here on requests may go there. Ends an earlier membership of the same node.
    pub fn attach(&self, admission: Admission, endpoint: Arc<Endpoint>) -> Membership {
        self.inner.attach(admission, endpoint)
    }
}

// === impl Place ===

impl Place {
    pub(super) fn new(inner: Arc<Inner>, id: u64) -> Self {
        Self { inner, id, is_taken: false }
    }

    /// It is somebody's now, and not given back.
    pub(super) fn taken(mut self) -> u64 {
        self.is_taken = true;
        self.id
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_taken {
            self.inner.give_back(self.id);
        }
    }
}

// === impl LeaseToken ===

impl LeaseToken {
    pub(super) fn new(token: String) -> Self {
        Self(SecretString::from(token))
    }

    /// The token, to be sent.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether `shown` is it, in constant time.
    pub fn is(&self, shown: &str) -> bool {
        self.expose().as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

impl std::fmt::Debug for LeaseToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LeaseToken(..)")
    }
}
