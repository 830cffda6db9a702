//! What is too little to judge is gathered, by (provider, model, profile). Short answers until 64 tokens are
//! there. And after a grey audit all that follows, until 512 tokens are there: of so many the mean is known
//! well enough that between pass and fail nothing is left. Bounded; it keeps sums and, for whoever has to
//! confirm a fail, a handle of each answer.

use indexmap::IndexMap;
use std::hash::Hash;

use super::profile::{Band, Thresholds};
use super::verdict::{Reason, TOKENS_MIN, Verdict, of_sums};
use super::{Judged, Sums};

/// Tokens after which a grey provider is judged.
pub const WATCH_TOKENS: u32 = 512;
/// Answers in one pool, after which it is judged with what is there.
pub const PARTS_MAX: usize = 64;
/// Pools of each kind. The one opened first goes first.
pub const POOLS_MAX: usize = 65_536;

/// All pools of a gateway. `K` says whose: provider, model, profile. `T` is an answer's handle.
#[derive(Debug)]
pub struct Pools<K, T> {
    short: IndexMap<K, Pool<T>>,
    watched: IndexMap<K, Pool<T>>,
}

#[derive(Debug)]
struct Pool<T> {
    sums: Sums,
    parts: Vec<T>,
}

/// What is to be done with an audit.
#[derive(Debug, Clone, PartialEq)]
pub enum Due<T> {
    /// A pass to count.
    Pass,
    /// To be confirmed, by scoring all of these again and judging their sums.
    Fail(Pooled<T>),
    /// Nothing yet.
    Wait,
}

/// Answers that are judged together.
#[derive(Debug, Clone, PartialEq)]
pub struct Pooled<T> {
    pub parts: Vec<T>,
    pub sums: Sums,
    pub reasons: Vec<Reason>,
    /// Whether there is nothing between pass and fail: [`settled`].
    pub is_watched: bool,
}

impl<K, T> Default for Pools<K, T> {
    fn default() -> Self {
        Self { short: IndexMap::new(), watched: IndexMap::new() }
    }
}

// === impl Pools ===

impl<K: Hash + Eq + Clone, T: Clone> Pools<K, T> {
    /// Takes an audit's verdict. Fails of a single audit and audits without a verdict are not for here, and
    /// change nothing.
    pub fn take(&mut self, key: K, judged: &Judged, thresholds: &Thresholds, part: T) -> Due<T> {
        let Some(figures) = &judged.figures else { return Due::Wait };
        match judged.verdict {
            Verdict::Short => self.short(key, &figures.sums, thresholds, part),
            Verdict::Pass if self.watched.contains_key(&key) => {
                match self.watch(key, &figures.sums, thresholds, vec![part]) {
                    Due::Wait => Due::Pass,
                    due => due,
                }
            }
            Verdict::Pass => Due::Pass,
            Verdict::Grey => self.watch(key, &figures.sums, thresholds, vec![part]),
            Verdict::Fail(_) | Verdict::None(_) => Due::Wait,
        }
    }

    /// Nothing of them is known any more: their provider was sent away, or a profile changed.
    pub fn forget(&mut self, mut is_gone: impl FnMut(&K) -> bool) {
        self.short.retain(|key, _| !is_gone(key));
        self.watched.retain(|key, _| !is_gone(key));
    }

    fn short(&mut self, key: K, sums: &Sums, thresholds: &Thresholds, part: T) -> Due<T> {
        if sums.tokens == 0 {
            return Due::Wait;
        }
        let pool = opened(&mut self.short, key.clone());
        pool.add(sums, vec![part]);
        if pool.sums.tokens < TOKENS_MIN {
            return Due::Wait;
        }
        let Some(Pool { sums, parts }) = self.short.swap_remove(&key) else { return Due::Wait };
        match of_sums(&sums, thresholds) {
            Verdict::Fail(reasons) => Due::Fail(Pooled { parts, sums, reasons, is_watched: false }),
            Verdict::Grey => self.watch(key, &sums, thresholds, parts),
            _ if self.watched.contains_key(&key) => {
                match self.watch(key, &sums, thresholds, parts) {
                    Due::Wait => Due::Pass,
                    due => due,
                }
            }
            _ => Due::Pass,
        }
    }

    fn watch(&mut self, key: K, sums: &Sums, thresholds: &Thresholds, parts: Vec<T>) -> Due<T> {
        let pool = opened(&mut self.watched, key.clone());
        pool.add(sums, parts);
        if pool.sums.tokens < WATCH_TOKENS && pool.parts.len() < PARTS_MAX {
            return Due::Wait;
        }
        let Some(Pool { sums, parts }) = self.watched.swap_remove(&key) else { return Due::Wait };
        match settled(&sums, thresholds) {
            Some(reasons) => Due::Fail(Pooled { parts, sums, reasons, is_watched: true }),
            None => Due::Pass,
        }
    }
}

/// Of so many tokens that there is nothing between pass and fail: why it is a fail, if it is.
pub fn settled(sums: &Sums, thresholds: &Thresholds) -> Option<Vec<Reason>> {
    let all =
        [(thresholds.distance(sums), Reason::Distance), (thresholds.zero(sums), Reason::Margin)];
    let beyond = all.into_iter().filter(|(band, _)| *band != Band::Pass);
    let reasons: Vec<Reason> = beyond.map(|(_, reason)| reason).collect();
    (!reasons.is_empty()).then_some(reasons)
}

fn opened<K: Hash + Eq, T>(pools: &mut IndexMap<K, Pool<T>>, key: K) -> &mut Pool<T> {
    if pools.len() >= POOLS_MAX && !pools.contains_key(&key) {
        pools.shift_remove_index(0);
    }
    pools.entry(key).or_insert_with(|| Pool { sums: Sums::default(), parts: Vec::new() })
}

// === impl Pool ===

impl<T> Pool<T> {
    fn add(&mut self, sums: &Sums, parts: Vec<T>) {
        self.sums.add(sums);
        self.parts.extend(parts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::profile::Profiles;
    use crate::audit::testing::Case;
    use crate::audit::{Reason, judge};
    use crate::route::Random;

    const TABLE: Thresholds = Thresholds::SAME_ENGINE;

    fn judged(tokens: u32, off_by: i32) -> Judged {
        let mut case = Case::honest(tokens);
        case.claims[0].iter_mut().for_each(|claim| claim.lp += off_by);
        let (answer, order) = (case.answer(), case.order());
        let random = &mut Random::new(1);
        judge(&answer, &order, &case.scored, &Profiles::default(), random).unwrap()
    }

    fn take(pools: &mut Pools<&'static str, u32>, tokens: u32, off_by: i32, part: u32) -> Due<u32> {
        pools.take("node", &judged(tokens, off_by), &TABLE, part)
    }

    #[test]
    fn short_answers_are_judged_together() {
        let mut pools = Pools::default();
        assert_eq!(take(&mut pools, 30, 0, 1), Due::Wait);
        assert_eq!(take(&mut pools, 33, 0, 2), Due::Wait);
        assert_eq!(take(&mut pools, 1, 0, 3), Due::Pass);
        assert_eq!(take(&mut pools, 40, 200, 4), Due::Wait, "it begins anew");
        let Due::Fail(pooled) = take(&mut pools, 40, 200, 5) else { panic!("it is far off") };
        assert_eq!((pooled.parts, pooled.sums.tokens), (vec![4, 5], 80));
        assert_eq!(pooled.reasons, [Reason::Distance]);
        assert!(!pooled.is_watched);
    }

    #[test]
    fn what_is_always_grey_fails_in_the_end() {
        let mut pools = Pools::default();
        for part in 0..5 {
            assert_eq!(take(&mut pools, 100, 72, part), Due::Wait);
        }
        let Due::Fail(pooled) = take(&mut pools, 100, 72, 5) else {
            panic!("512 tokens are there")
        };
        assert_eq!((pooled.parts.len(), pooled.is_watched), (6, true));
        assert_eq!(settled(&pooled.sums, &TABLE), Some(vec![Reason::Distance]));
    }

    #[test]
    fn one_grey_audit_among_good_ones_is_forgiven() {
        let mut pools = Pools::default();
        assert_eq!(take(&mut pools, 100, 60, 0), Due::Wait);
        for part in 1..20 {
            assert_eq!(take(&mut pools, 100, 20, part), Due::Pass);
        }
        assert!(pools.watched.is_empty());
    }

    #[test]
    fn pools_are_bounded_and_forgotten() {
        let mut pools: Pools<usize, u32> = Pools::default();
        let (short, grey) = (judged(10, 0), judged(100, 72));
        for key in 0..POOLS_MAX + 10 {
            pools.take(key, &short, &TABLE, 0);
            pools.take(key, &grey, &TABLE, 0);
        }
        assert_eq!((pools.short.len(), pools.watched.len()), (POOLS_MAX, POOLS_MAX));
        assert!(!pools.short.contains_key(&0));
        pools.forget(|key| *key > 20);
        assert_eq!((pools.short.len(), pools.watched.len()), (11, 11));
    }

    #[test]
    fn nothing_without_tokens_is_pooled_and_a_pool_of_tiny_answers_ends() {
        let mut pools = Pools::default();
        for part in 0..200 {
            assert_eq!(take(&mut pools, 0, 0, part), Due::Wait);
        }
        assert!(pools.short.is_empty());
        for part in 0..63 {
            assert_eq!(take(&mut pools, 1, 0, part), Due::Wait);
        }
        assert_eq!(take(&mut pools, 1, 0, 63), Due::Pass);
    }
}
