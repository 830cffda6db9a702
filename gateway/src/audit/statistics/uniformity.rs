//! S7: whether a sampler that nobody can follow drew as asked. Where a token lies in the likelier ones'
//! probability is uniform for whoever draws from the right distribution (the randomised probability
//! integral transform), at any temperature: greedy drawing, another temperature and another model bend it.
//! Cramér–von Mises' W² measures how much.
//!
//! By strata of the likeliest token's probability, which does not depend on the token that was drawn:
//! steps without a choice are nearly all there is in many answers, say nothing, and would drown the rest.

use openapi::verify::Score;
use serde::{Deserialize, Serialize};
use std::f64::consts::{PI, SQRT_2};

use crate::route::Random;

/// Upper ends of the strata. Beyond the last there was no choice.
const STRATA: [f64; 2] = [0.5, 0.9];
/// Fewer tokens say nothing.
const TOKENS_MIN: usize = 16;

/// How far it is from uniform.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Uniformity {
    /// Tokens that had a choice.
    pub tokens: u32,
    /// Probability of so much or more by chance, of the worst stratum, for all strata.
    pub p: f64,
}

/// `None`: too few tokens had a choice.
pub fn of(scores: &[Score], random: &mut Random) -> Option<Uniformity> {
    let mut strata: [Vec<f64>; STRATA.len()] = Default::default();
    for score in scores {
        // Drawn for every token, so that what one token is changes nothing for the next.
        let place = score.above + random.unit() * score.own;
        let likeliest = score.top.first().map_or(0.0, |(_, lp)| lp.exp());
        let stratum = STRATA.iter().position(|end| likeliest < *end);
        if let Some(stratum) = stratum.and_then(|at| strata.get_mut(at)) {
            stratum.push(place.clamp(0.0, 1.0));
        }
    }
    let enough = || strata.iter().filter(|stratum| stratum.len() >= TOKENS_MIN);
    let worst = enough().map(|stratum| chance(w2(stratum))).reduce(f64::min)?;
    let tokens = enough().map(Vec::len).sum::<usize>();
    let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
    Some(Uniformity { tokens, p: (worst * enough().count() as f64).min(1.0) })
}

/// Cramér–von Mises' statistic against the uniform distribution.
fn w2(places: &[f64]) -> f64 {
    let mut places = places.to_vec();
    places.sort_unstable_by(f64::total_cmp);
    let n = places.len() as f64;
    let square = |(at, place): (usize, &f64)| (place - (2.0 * at as f64 + 1.0) / (2.0 * n)).powi(2);
    1.0 / (12.0 * n) + places.iter().enumerate().map(square).sum::<f64>()
}

/// P(W² ≥ x). Its limit is Σ z²/(kπ)² over k ≥ 1 with normal z (Anderson, Darling, 1952); of that the first
/// term decides the tail, and the others lengthen it by Π(1 − 1/k²)^-½ = √2. Right to some per cent below .1,
/// and no probability above.
fn chance(w2: f64) -> f64 {
    (SQRT_2 * erfc(PI * (w2 / 2.0).sqrt())).min(1.0)
}

/// Abramowitz, Stegun, 7.1.26 has errors of 1e-7, which is more than a tail has: beyond 2, the continued
/// fraction of 7.1.14.
fn erfc(x: f64) -> f64 {
    if x > 2.0 {
        let fraction = (1..=40).rev().fold(0.0, |tail, k| f64::from(k) / 2.0 / (x + tail));
        return (-x * x).exp() / PI.sqrt() / (x + fraction);
    }
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let terms = [0.254_829_592, -0.284_496_736, 1.421_413_741, -1.453_152_027, 1.061_405_429];
    terms.iter().rev().fold(0.0, |sum, term| (sum + term) * t) * (-x * x).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token drawn from `p` (descending) by a sampler that draws from `q`.
    fn drawn(p: &[f64], q: &[f64], random: &mut Random) -> Score {
        let mut at = 0;
        let mut rest = random.unit();
        while rest >= q[at] && at + 1 < q.len() {
            rest -= q[at];
            at += 1;
        }
        let above = p[..at].iter().sum();
        let top = vec![(0, p[0].ln())];
        Score { lp: p[at].ln(), above, own: p[at], top, ..Score::default() }
    }

    /// Four likely tokens and some others, all steps unlike.
    fn step(temperature: f64, random: &mut Random) -> Vec<f64> {
        let mut logits: Vec<f64> = (0..12).map(|_| 4.0 * random.unit()).collect();
        logits.sort_unstable_by(|a, b| b.total_cmp(a));
        let weights: Vec<f64> = logits.iter().map(|logit| (logit / temperature).exp()).collect();
        let all: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / all).collect()
    }

    fn answer(tokens: usize, temperature: f64, seed: u64) -> Vec<Score> {
        let mut random = Random::new(seed);
        let draw = |_| {
            let (mut steps, mut same) = (random.clone(), random.clone());
            let (p, q) = (step(1.0, &mut steps), step(temperature, &mut same));
            random = steps;
            drawn(&p, &q, &mut random)
        };
        (0..tokens).map(draw).collect()
    }

    #[test]
    fn tails_are_those_of_the_tables() {
        // Anderson, Darling, 1952, table 1.
        for (w2, p) in [(0.461_36, 0.05), (0.743_46, 0.01), (1.167_86, 0.001)] {
            assert!((chance(w2) / p - 1.0).abs() < 0.08, "{w2}: {}", chance(w2));
        }
        assert!((erfc(1.0) - 0.157_299_2).abs() < 1e-6);
        assert!((erfc(3.0) / 2.209_049_7e-5 - 1.0).abs() < 1e-6);
        assert_eq!(chance(0.0), 1.0);
    }

    #[test]
    fn who_draws_as_asked_is_seldom_suspected() {
        let suspected = |bar: f64| {
            let p = |seed| of(&answer(200, 1.0, seed), &mut Random::new(seed)).unwrap().p;
            (0..1000).filter(|seed| p(*seed) < bar).count()
        };
        assert!((5..=100).contains(&suspected(0.05)), "{}", suspected(0.05));
        assert_eq!(suspected(1e-4), 0);
    }

    #[test]
    fn another_temperature_is_found() {
        for temperature in [0.01, 0.5, 3.0] {
            let found = of(&answer(200, temperature, 3), &mut Random::new(3)).unwrap();
            assert!(found.p < 1e-4, "{temperature}: {found:?}");
        }
    }

    #[test]
    fn steps_without_a_choice_do_not_count() {
        let sure = Score { own: 0.99, top: vec![(0, 0.99f64.ln())], ..Score::default() };
        assert_eq!(of(&vec![sure.clone(); 1000], &mut Random::new(1)), None);
        let mut scores = answer(100, 0.01, 1);
        scores.extend(vec![sure; 1000]);
        let found = of(&scores, &mut Random::new(1)).unwrap();
        assert!(found.tokens <= 100 && found.p < 1e-4, "{found:?}");
    }
}
