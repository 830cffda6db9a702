//! A model's consistent-hash ring: the same prompt's beginning finds the same providers as long as they
//! are there, and few prompts move when one comes or goes.
//!
//! 16 points for each offer: its share of the ring then has a standard deviation of 25 %
//! (1/√16), which the least-loaded choice among what is drawn evens out, and 10,000 offers take 1.3 MB
//! and some milliseconds to sort. Points depend on the provider's name alone, so a rebuilt ring is the
//! same ring.

use siphasher::sip::SipHasher13;
use std::hash::Hasher as _;
use std::sync::Arc;

use super::snapshot::Offer;

const POINTS: u32 = 16;

#[derive(Debug, Default)]
pub struct Ring {
    /// Sorted: 32 bits of hash, then the place in the list of offers.
    points: Vec<u64>,
}

// === impl Ring ===

impl Ring {
    pub(super) fn new(offers: &[Arc<Offer>]) -> Self {
        let mut points = Vec::with_capacity(offers.len() * POINTS as usize);
        for (place, offer) in (0u64..).zip(offers) {
            for number in 0..POINTS {
                points.push((u64::from(point(&offer.endpoint.id, number)) << 32) | place);
            }
        }
        points.sort_unstable();
        Self { points }
    }

    /// Places of the offers that come next after `key`, each once, endlessly round the ring until all
    /// points were seen.
    pub fn from(&self, key: u64) -> impl Iterator<Item = usize> {
        let start = self.points.partition_point(|point| point >> 32 < key >> 32);
        let (before, after) = self.points.split_at(start);
        let mut last = None;
        after.iter().chain(before).filter_map(move |point| {
            let place = usize::try_from(point & u64::from(u32::MAX)).ok()?;
            (last.replace(place) != Some(place)).then_some(place)
        })
    }
}

fn point(provider: &str, number: u32) -> u32 {
    let mut hasher = SipHasher13::new();
    hasher.write(provider.as_bytes());
    hasher.write_u32(number);
    // The upper half is as good as the whole.
    (hasher.finish() >> 32) as u32
}
