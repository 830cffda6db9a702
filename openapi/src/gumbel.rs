//! The noise of the canonical sampler `gumbel-v1`: pure, so that a scorer and a generator agree on it
//! to the bit. The sampler around it (candidates, penalties, truncation) is the provider's.
//!
//! `u = ((SipHash-2-4 with key (seed, "quorate1") over (step as u64, id as u32, little-endian)) >> 11
//! + 0.5) · 2^-53`, `g = -ln(-ln u)`, f64 throughout. SipHash: Aumasson, Bernstein, 2012.

use siphasher::sip::SipHasher24;
use std::hash::Hasher;

/// The sampler's name on the wire.
pub const NAME: &str = "gumbel-v1";
/// Candidates of a step: the highest of (raw logit + `logit_bias`), plus every biased id.
pub const CANDIDATES_MAX: usize = 256;

const DOMAIN: u64 = u64::from_le_bytes(*b"quorate1");

/// The uniform number of (seed, step, id), in (0, 1). `step` is the absolute index of the generated token.
pub fn uniform(seed: u64, step: u64, id: u32) -> f64 {
    let mut hasher = SipHasher24::new_with_keys(seed, DOMAIN);
    let mut bytes = [0u8; 12];
    bytes[..8].copy_from_slice(&step.to_le_bytes());
    bytes[8..].copy_from_slice(&id.to_le_bytes());
    hasher.write(&bytes);
    // 53 bits are exact in f64.
    ((hasher.finish() >> 11) as f64 + 0.5) * (1.0 / (1u64 << 53) as f64)
}

/// The Gumbel noise of (seed, step, id).
pub fn noise(seed: u64, step: u64, id: u32) -> f64 {
    -(-uniform(seed, step, id).ln()).ln()
}
