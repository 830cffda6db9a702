//! Successes and failures of the last minute, exactly, in twelve buckets of five seconds. An average that
//! fades gives a burst no weight; this one does.

const BUCKETS: usize = 12;
const BUCKET_MS: u64 = 5_000;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    buckets: [Bucket; BUCKETS],
    /// Number of the newest bucket since the gateway began.
    newest: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    good: u16,
    bad: u16,
}

// === impl Window ===

impl Window {
    pub(super) fn note(&mut self, is_bad: bool, now_ms: u64) {
        self.turn(now_ms);
        let place = usize::try_from(self.newest).unwrap_or(0) % BUCKETS;
        let Some(bucket) = self.buckets.get_mut(place) else { return };
        let count = if is_bad { &mut bucket.bad } else { &mut bucket.good };
        *count = count.saturating_add(1);
    }

    /// (good, bad) of the last minute.
    pub(super) fn counts(&mut self, now_ms: u64) -> (u32, u32) {
        self.turn(now_ms);
        let good = self.buckets.iter().map(|bucket| u32::from(bucket.good)).sum();
        let bad = self.buckets.iter().map(|bucket| u32::from(bucket.bad)).sum();
        (good, bad)
    }

    pub(super) fn clear(&mut self) {
        self.buckets = Default::default();
    }

    /// Empties the buckets that time has passed over.
    fn turn(&mut self, now_ms: u64) {
        let now = now_ms / BUCKET_MS;
        let passed = now.saturating_sub(self.newest).min(BUCKETS as u64);
        for step in 0..passed {
            let place = usize::try_from(now.saturating_sub(step)).unwrap_or(0) % BUCKETS;
            if let Some(bucket) = self.buckets.get_mut(place) {
                *bucket = Bucket::default();
            }
        }
        self.newest = self.newest.max(now);
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small numbers")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_sample_counts_until_its_bucket_is_a_minute_old() {
        for at in [0, 1, 4_999] {
            let mut window = Window::default();
            window.note(true, at);
            assert_eq!(window.counts(59_999), (0, 1), "{at}");
            assert_eq!(window.counts(60_000), (0, 0), "{at}");
        }
        let mut window = Window::default();
        window.note(false, 5_000);
        assert_eq!(window.counts(64_999), (1, 0));
        assert_eq!(window.counts(65_000), (0, 0));
    }

    #[test]
    fn cleared_it_is_empty() {
        let mut window = Window::default();
        window.note(true, 12_345);
        window.clear();
        assert_eq!(window.counts(12_345), (0, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]
        /// Beside a list of all samples.
        #[test]
        fn it_counts_what_a_list_counts(steps in prop::collection::vec((any::<bool>(), 0u64..40_000), 1..60)) {
            let (mut window, mut all, mut now) = (Window::default(), Vec::new(), 0);
            for (is_bad, later) in steps {
                now += later;
                window.note(is_bad, now);
                all.push((is_bad, now / BUCKET_MS));
                let count = |wanted: bool| {
                    let is_kept = |bucket: u64| bucket + BUCKETS as u64 > now / BUCKET_MS;
                    all.iter().filter(|(bad, at)| *bad == wanted && is_kept(*at)).count() as u32
                };
                prop_assert_eq!(window.counts(now), (count(false), count(true)));
            }
        }
    }
}
