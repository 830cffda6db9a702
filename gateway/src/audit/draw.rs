//! What is drawn by a secret, after the answer is there: whether it is audited, which choice of it, which
//! tokens, who scores it, and whether the scorer is being checked. Nobody who lacks the secret can tell an
//! audited request from another, beforehand or by what it asks. Keyed BLAKE3 over the request's id, so that
//! the same request is always drawn alike, however often it is looked at.

use openapi::verify::TOKENS_MAX;
use std::fmt;

use crate::route::Random;

/// Of what scorers are asked, share that checks the scorer: a canary or an answer that passed elsewhere.
pub const CHECK_SHARE: f64 = 0.02;

/// The gateway's secret for this.
#[derive(Clone)]
pub struct Draw([u8; 32]);

/// What a scorer is asked beside its audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// A spoilt answer.
    Spoilt,
    /// An answer that passed with another.
    Again,
}

impl fmt::Debug for Draw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Draw(…)")
    }
}

// === impl Draw ===

impl Draw {
    pub fn new(secret: &[u8]) -> Self {
        Self(blake3::derive_key("quorate gateway 2026-11 draw of audits", secret))
    }

    /// Whether a request is audited at this rate. What is audited at one rate is at any higher one.
    pub fn is_audited(&self, request_id: &str, rate: f64) -> bool {
        self.unit(b"audit", request_id) < rate
    }

    /// Which of so many choices.
    pub fn choice(&self, request_id: &str, choices: usize) -> usize {
        self.random(b"choice", request_id).below(choices)
    }

    /// The tokens to score: `None` for all of them, where that is not too many; else so many of them,
    /// ascending, the last among them, on which the end is judged.
    pub fn positions(&self, request_id: &str, tokens: usize) -> Option<Vec<u32>> {
        if tokens <= TOKENS_MAX {
            return None;
        }
        // Vitter's selection sampling: ascending, without a set of what was drawn.
        let mut random = self.random(b"positions", request_id);
        let last = tokens - 1;
        let mut drawn = Vec::with_capacity(TOKENS_MAX);
        for at in 0..last {
            let (left, wanted) = (last - at, TOKENS_MAX - 1 - drawn.len());
            if random.below(left) < wanted {
                drawn.push(u32::try_from(at).unwrap_or(u32::MAX));
            }
        }
        drawn.push(u32::try_from(last).unwrap_or(u32::MAX));
        Some(drawn)
    }

    /// Who may score it, in the order in which they are asked. Each has the same chance of each place, and
    /// who joins or leaves changes nothing in the order of the others.
    pub fn order<S>(&self, request_id: &str, scorers: &mut [S], name: impl Fn(&S) -> &[u8]) {
        scorers.sort_by_cached_key(|scorer| {
            *self.hash(b"scorer", &[request_id.as_bytes(), name(scorer)]).as_bytes()
        });
    }

    /// Whether a scorer is checked along with this audit, and how.
    pub fn check(&self, request_id: &str) -> Option<Check> {
        let unit = self.unit(b"check", request_id);
        let kind = if unit < CHECK_SHARE / 2.0 { Check::Spoilt } else { Check::Again };
        (unit < CHECK_SHARE).then_some(kind)
    }

    /// For what else is random in an audit: S7, a spoilt answer.
    pub fn randomness(&self, request_id: &str) -> Random {
        self.random(b"random", request_id)
    }

    fn unit(&self, what: &[u8], request_id: &str) -> f64 {
        self.random(what, request_id).unit()
    }

    fn random(&self, what: &[u8], request_id: &str) -> Random {
        let hash = self.hash(what, &[request_id.as_bytes()]);
        let seed = hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Random::new(seed)
    }

    /// Each part with its length, so that no two lists of parts are the same bytes.
    fn hash(&self, what: &[u8], parts: &[&[u8]]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in [&[what], parts].concat() {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn draw() -> Draw {
        Draw::new(b"secret")
    }

    fn requests() -> impl Iterator<Item = String> {
        (0..20_000).map(|number| format!("req-{number}"))
    }

    #[test]
    fn the_share_that_is_audited_is_the_rate() {
        for rate in [0.02, 0.3] {
            let audited = requests().filter(|id| draw().is_audited(id, rate)).count() as f64;
            assert!((audited / 20_000.0 / rate - 1.0).abs() < 0.1, "{rate}: {audited}");
        }
        assert!(requests().all(|id| draw().is_audited(&id, 1.0)));
        assert!(!requests().any(|id| draw().is_audited(&id, 0.0)));
        let twice = |id: &String| draw().is_audited(id, 0.1) && !draw().is_audited(id, 0.2);
        assert!(!requests().any(|id| twice(&id)));
    }

    #[test]
    fn without_the_secret_nothing_is_known() {
        let other = Draw::new(b"another");
        let both = requests().filter(|id| draw().is_audited(id, 0.1) && other.is_audited(id, 0.1));
        assert!((120..280).contains(&both.count()), "one in a hundred");
        assert_eq!(format!("{other:?}"), "Draw(…)");
    }

    #[test]
    fn every_scorer_has_the_same_chance_and_keeps_its_place() {
        let mut first = HashMap::new();
        for id in requests() {
            let mut scorers = ["a", "b", "c", "d"];
            draw().order(&id, &mut scorers, |name| name.as_bytes());
            *first.entry(scorers[0]).or_insert(0) += 1;
            let mut fewer = ["c", "a", "d"];
            draw().order(&id, &mut fewer, |name| name.as_bytes());
            let rest: Vec<&str> = scorers.into_iter().filter(|name| *name != "b").collect();
            assert_eq!(rest, fewer);
        }
        assert!(first.values().all(|count| (4_700..5_300).contains(count)), "{first:?}");
    }

    #[test]
    fn of_a_long_answer_so_many_tokens_are_scored_and_the_last() {
        assert_eq!(draw().positions("r", TOKENS_MAX), None);
        for last in [TOKENS_MAX as u64, 9_999] {
            let tokens = usize::try_from(last).unwrap() + 1;
            let positions = draw().positions("r", tokens).unwrap();
            assert_eq!(positions.len(), TOKENS_MAX);
            assert!(positions.is_sorted_by(|a, b| a < b));
            assert_eq!(positions.last().map(|at| u64::from(*at)), Some(last));
        }
        assert_ne!(draw().positions("r", 5000), draw().positions("s", 5000));
    }

    #[test]
    fn choices_and_checks_are_even() {
        let mut choices = [0; 3];
        requests().for_each(|id| choices[draw().choice(&id, 3)] += 1);
        assert!(choices.iter().all(|count| (6_300..7_000).contains(count)), "{choices:?}");
        let checks: Vec<Check> = requests().filter_map(|id| draw().check(&id)).collect();
        let spoilt = checks.iter().filter(|check| **check == Check::Spoilt).count();
        assert!((330..470).contains(&checks.len()), "{}", checks.len());
        assert!((130..270).contains(&spoilt), "{spoilt}");
        assert_eq!(draw().choice("r", 0), 0);
    }
}
