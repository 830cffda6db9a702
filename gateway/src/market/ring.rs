//! A model's consistent-hash ring: the same prompt's beginning finds the same providers as long as they
//! are there, and few prompts move when one comes or goes.
//!
//! 16 points for each offer: its share of the ring then has a standard deviation of 25 %
//! (1/√16), which the least-loaded choice among what is drawn evens out, and 10,000 offers take 1.3 MB
//! and some milliseconds to sort. Points depend on the provider's name alone, so a rebuilt ring is the
//! same ring.

use siphasher::sip::SipHasher13;
use std::hash::Hasher as _;

const POINTS: u32 = 16;

/// Points for each entry of `starts`.
const POINTS_A_START: usize = 4;

#[derive(Debug, Default)]
pub struct Ring {
    /// Sorted: 32 bits of hash, then the number of the seat.
    points: Vec<u64>,
    /// By the hash's first bits, the first point that has at least these: a look-up touches two places
    /// in memory and not twenty.
    starts: Vec<u32>,
    /// Of the hash that `starts` leaves out.
    shift: u32,
}

// === impl Ring ===

impl Ring {
    /// Of the providers, by seat.
    pub(super) fn new<'a>(providers: impl ExactSizeIterator<Item = &'a str>) -> Self {
        let mut points = Vec::with_capacity(providers.len() * POINTS as usize);
        for (seat, provider) in (0u64..).zip(providers) {
            for number in 0..POINTS {
                points.push((u64::from(point(provider, number)) << 32) | seat);
            }
        }
        points.sort_unstable();
        let buckets = (points.len() / POINTS_A_START).next_power_of_two();
        let shift = u32::BITS - buckets.trailing_zeros().min(u32::BITS - 1);
        let mut starts = vec![0u32; buckets + 1];
        for point in &points {
            let bucket = usize::try_from((point >> 32) >> shift).unwrap_or(0);
            if let Some(count) = starts.get_mut(bucket + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        Self { points, starts, shift }
    }

    /// The seats that come next after `key`, endlessly round the ring until all points were seen; never
    /// one twice in a row.
    pub fn from(&self, key: u64) -> impl Iterator<Item = usize> {
        let hash = key >> 32;
        let bucket = usize::try_from(hash >> self.shift).unwrap_or(0);
        let start = self.starts.get(bucket).map_or(0, |start| *start as usize);
        let rest = self.points.get(start..).unwrap_or_default();
        let start = start + rest.iter().take_while(|point| *point >> 32 < hash).count();
        let (before, after) = self.points.split_at(start);
        let mut last = None;
        after.iter().chain(before).filter_map(move |point| {
            let seat = usize::try_from(point & u64::from(u32::MAX)).ok()?;
            (last.replace(seat) != Some(seat)).then_some(seat)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(point: u64) -> usize {
        usize::try_from(point & u64::from(u32::MAX)).unwrap()
    }

    #[test]
    fn the_next_point_is_found_wherever_the_key_is() {
        for count in [0, 1, 2, 3, 40, 1000] {
            let names: Vec<String> = (0..count).map(|number| format!("p{number}")).collect();
            let ring = Ring::new(names.iter().map(String::as_str));
            let edges = ring.points.iter().flat_map(|point| [point - 1, *point, point + (1 << 32)]);
            let spread = (0..1000u64).map(|key| key.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            for key in edges.take(1000).chain(spread).chain([0, u64::MAX]) {
                let naive = ring.points.iter().find(|point| *point >> 32 >= key >> 32);
                let naive = naive.or(ring.points.first()).map(|point| seat(*point));
                assert_eq!(ring.from(key).next(), naive, "{count} providers, {key:x}");
            }
        }
    }
}
