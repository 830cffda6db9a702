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
