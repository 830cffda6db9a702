//! Quantiles of positive numbers within 5 %: buckets that grow by a factor (DDSketch; Masson, Rim, Lee,
//! VLDB 2019), in atomics, so that nobody waits. What was seen fades by halves.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// (1 + α)/(1 − α) for α = 5 %.
const GROWTH: f32 = 1.105;
const BUCKETS: usize = 128;
/// Counts are halved beyond.
const COUNT_MAX: u32 = 4096;

#[derive(Debug)]
pub struct Sketch {
    /// Values up to it are in the first bucket; the last ends at 128 buckets' growth, 3.2e5 times that.
    least: f32,
    counts: [AtomicU32; BUCKETS],
    total: AtomicU32,
}

// === impl Sketch ===

impl Sketch {
    pub fn new(least: f32) -> Self {
        Self { least, counts: [const { AtomicU32::new(0) }; BUCKETS], total: AtomicU32::new(0) }
    }

    pub fn add(&self, value: f32) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let bucket = ((value / self.least).ln() / GROWTH.ln()).ceil().max(0.0) as usize;
        let Some(count) = self.counts.get(bucket.min(BUCKETS - 1)) else { return };
        count.fetch_add(1, Relaxed);
        if self.total.fetch_add(1, Relaxed) + 1 > COUNT_MAX {
            self.fade();
        }
    }

    pub fn total(&self) -> u32 {
        self.total.load(Relaxed)
    }

    /// `None` where nothing was seen.
    pub fn quantile(&self, share: f32) -> Option<f32> {
        let total: u32 = self.counts.iter().map(|count| count.load(Relaxed)).sum();
        if total == 0 {
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most a few thousand"
        )]
        let rank = (share.clamp(0.0, 1.0) * (total - 1) as f32) as u32;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count.load(Relaxed);
            if seen > rank {
                return Some(self.middle(bucket));
            }
        }
        None
    }

    /// The mean of what is above `value`, less `value`; `None` where nothing is.
    pub fn mean_excess(&self, value: f32) -> Option<f32> {
        let (mut count, mut sum) = (0.0, 0.0);
        for (bucket, seen) in self.counts.iter().enumerate() {
            let middle = self.middle(bucket);
            if middle > value {
                #[expect(clippy::cast_precision_loss, reason = "small")]
                let seen = seen.load(Relaxed) as f32;
                count += seen;
                sum += seen * (middle - value);
            }
        }
        (count > 0.0).then(|| sum / count)
    }

    #[expect(clippy::cast_precision_loss, reason = "small")]
    fn middle(&self, bucket: usize) -> f32 {
        // 2/(1 + γ) of the upper bound is at most α from both ends.
        self.least * GROWTH.powf(bucket as f32) * 2.0 / (1.0 + GROWTH)
    }

    fn fade(&self) {
        let mut total = 0;
        for count in &self.counts {
            let half = count.load(Relaxed) / 2;
            count.store(half, Relaxed);
            total += half;
        }
        self.total.store(total, Relaxed);
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small numbers")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]
        #[test]
        fn quantiles_are_within_five_percent(
            logs in prop::collection::vec(-5.0f32..5.5, 1..500),
            share in 0.0f32..=1.0,
        ) {
            let sketch = Sketch::new(1e-3);
            let mut values: Vec<f32> = logs.iter().map(|log| log.exp()).collect();
            values.iter().for_each(|value| sketch.add(*value));
            values.sort_unstable_by(f32::total_cmp);
            let exact = values[(share * (values.len() - 1) as f32) as usize];
            let found = sketch.quantile(share).unwrap();
            prop_assert!((found / exact - 1.0).abs() < 0.051, "{} beside {}", found, exact);
        }
    }

    #[test]
    fn of_nothing_there_is_no_quantile() {
        let sketch = Sketch::new(1.0);
        assert_eq!(sketch.quantile(0.5), None);
        assert_eq!(sketch.mean_excess(0.0), None);
    }

    #[test]
    fn the_mean_of_what_is_beyond() {
        let sketch = Sketch::new(0.01);
        (0..90).for_each(|_| sketch.add(1.0));
        (0..10).for_each(|_| sketch.add(5.0));
        let excess = sketch.mean_excess(2.0).unwrap();
        assert!((2.7..3.3).contains(&excess), "{excess}");
        assert_eq!(sketch.mean_excess(6.0), None);
    }

    #[test]
    fn what_was_seen_long_ago_fades() {
        let sketch = Sketch::new(0.01);
        (0..COUNT_MAX).for_each(|_| sketch.add(1.0));
        (0..3 * COUNT_MAX).for_each(|_| sketch.add(10.0));
        assert!(sketch.total() <= COUNT_MAX);
        let low = sketch.quantile(0.05).unwrap();
        assert!(low > 9.0, "{low}");
    }

    #[test]
    fn what_is_out_of_range_is_at_its_end() {
        let sketch = Sketch::new(0.01);
        for value in [0.0, -1.0, f32::NAN, f32::NEG_INFINITY] {
            sketch.add(value);
        }
        assert!(sketch.quantile(1.0).unwrap() <= 0.0106);
        sketch.add(f32::INFINITY);
        assert!(sketch.quantile(1.0).unwrap() > 1e3);
    }
}
