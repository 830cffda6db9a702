//! What this node says of itself, signed for one gateway, one connection and one use.

use super::Node;
use crate::engine::ModelInfo;
use openapi::node::{Capacity, Challenge, Hello, MODELS_MAX, PROTOCOL};
use openapi::sign::Signed;

/// Name and version of this program.
pub(super) const SOFTWARE: &str = concat!("quorate-provider/", env!("CARGO_PKG_VERSION"));

/// A hello and what it was made of.
pub(super) struct Said {
    pub(super) hello: Signed<Hello>,
    pub(super) models: Vec<ModelInfo>,
    /// The offer's number.
    pub(super) offer: u64,
    /// When rented capacity ends.
    pub(super) ends: Option<i64>,
}

/// The hello for this challenge on this connection, or why there can be none.
pub(super) fn sign(node: &Node, challenge: &Challenge, exporter: &[u8]) -> Result<Said, String> {
    let models = node.engine.models();
    if models.is_empty() {
        return Err("there is no model to serve yet".to_owned());
    }
    node.engine.health().map_err(|reason| format!("the engine can't serve yet: {reason}"))?;
    let offer = node.desk.of_now().map_err(|error| error.to_string())?;
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let running = count(node.engine.concurrency());
    let ends = *node.lease_ends.borrow();
    let hello = Hello {
        protocol: PROTOCOL,
        node: node.key.public(),
        delegation: node.delegation.clone(),
        gateway: challenge.gateway,
        exporter: hex::encode(exporter),
        nonce: challenge.nonce.clone(),
        time_ms: node.clock.unix_millis(),
        link: node.link.clone(),
        hardware: node.hardware.clone(),
        models: models.iter().take(MODELS_MAX).cloned().map(ModelInfo::served).collect(),
        region: node.region.clone(),
        offer: offer.signed.clone(),
        capacity: Capacity {
            running_max: running,
            queued_max: count(node.admission.room()).saturating_sub(running),
        },
        lease_expires_at_ms: ends,
        software: SOFTWARE.to_owned(),
    };
    let hello = Signed::new(&hello, &node.key).map_err(|error| error.to_string())?;
    Ok(Said { hello, models, offer: offer.offer.sequence, ends })
}
