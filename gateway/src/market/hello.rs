//! Whether a hello counts: who signed it, for whom, on which connection, when, and whether every value
//! is one that can be. Pure: it knows no table, no clock and no network.

use openapi::node::{CLOCK_SKEW_MS, HELLO_BYTES_MAX, Hello, MODELS_MAX, PROTOCOL};
use openapi::sign::{PublicKey, Signed};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use super::member::OnSale;
use super::offer;
use super::refusal::Refusal;
use super::short;

mod bounds;

/// What a hello must fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) gateway: PublicKey,
    pub(super) exporter: &'a [u8; 32],
    pub(super) nonce: &'a str,
    /// Unix milliseconds.
    pub(super) now_ms: i64,
}

/// A hello that counts.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) hello: Hello,
    pub(super) operator: PublicKey,
    pub(super) on_sale: OnSale,
}

/// Read before the rest, which another protocol may say otherwise.
#[derive(Deserialize)]
struct Version {
    protocol: u32,
}

/// # Errors
/// The first thing that is wrong with it.
pub(super) fn verify(signed: &Signed<Hello>, expected: &Expected<'_>) -> Result<Verified, Refusal> {
    if signed.statement.len() > HELLO_BYTES_MAX {
        return Err(Refusal::HelloTooLarge);
    }
    let unreadable = |error: &dyn std::fmt::Display| Refusal::invalid("statement", short(error));
    let Version { protocol } =
        serde_json::from_str(&signed.statement).map_err(|error| unreadable(&error))?;
    if protocol != PROTOCOL {
        return Err(Refusal::ProtocolUnsupported(protocol));
    }
    let hello = signed.claims().map_err(|error| unreadable(&error))?;
    signed.open(&hello.node).map_err(|error| Refusal::BadSignature(short(&error)))?;
    is_for(&hello, expected)?;
    let operator = delegation(&hello, expected.now_ms)?;
    bounds::check(&hello, expected.now_ms)?;
    let on_sale = offer::on_sale(&hello.offer, hello.node, &hello.models, expected.now_ms)?;
    Ok(Verified { hello, operator, on_sale })
}

/// This gateway, this connection, this challenge, this moment.
fn is_for(hello: &Hello, expected: &Expected<'_>) -> Result<(), Refusal> {
    if hello.gateway != expected.gateway {
        return Err(Refusal::WrongGateway);
    }
    let exporter = hex::encode(expected.exporter);
    if !bool::from(hello.exporter.as_bytes().ct_eq(exporter.as_bytes())) {
        return Err(Refusal::WrongConnection);
    }
    if hello.nonce != expected.nonce {
        return Err(Refusal::Replayed);
    }
    let skew_ms = hello.time_ms.saturating_sub(expected.now_ms);
    if skew_ms.unsigned_abs() > CLOCK_SKEW_MS.unsigned_abs() {
        return Err(Refusal::ClockSkew { skew_ms });
    }
    Ok(())
}

/// The operator, if it vouches for this very node.
fn delegation(hello: &Hello, now_ms: i64) -> Result<PublicKey, Refusal> {
    let bad = |error: openapi::sign::Error| Refusal::BadDelegation(short(&error).into());
    let claimed = hello.delegation.claims().map_err(bad)?;
    let delegation = hello.delegation.open(&claimed.operator).map_err(bad)?;
    if delegation.node != hello.node {
        return Err(Refusal::BadDelegation("it is for another node".into()));
    }
    if delegation.issued_at_ms > now_ms.saturating_add(CLOCK_SKEW_MS) {
        return Err(Refusal::BadDelegation("it was issued in the future".into()));
    }
    Ok(delegation.operator)
}
