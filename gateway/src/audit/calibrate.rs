//! Thresholds from honest audits: what 99.5 of 100 of them stay within. And the word that the next lower
//! quantization can't be told apart, where it can't.

use super::profile::{Key, Profile, Thresholds};
use super::verdict::TOKENS_MIN;
use super::{Figures, Sums};

/// Fewer audits have no 99.5th percentile.
pub const AUDITS_MIN: usize = 200;
/// Audits of another quantization are put together until so many tokens are there.
const WINDOW_TOKENS: u32 = 500;
/// Of such windows within the thresholds: more can't be told apart.
const OVERLAP_MAX: f64 = 0.05;
/// Claims are rounded, and two flips in 64 tokens happen to anybody.
const DISTANCE_FLOOR: f64 = 0.01;
const FLIPS_FLOOR: f64 = 0.031_25;
/// A fail is so many times beyond the pass, about as in the design's table.
const FAIL_FACTOR: f64 = 3.0;
/// Of honest audits outside the thresholds, one in so many.
const OUTSIDE: usize = 200;

/// There is not enough to learn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} audits of at least {TOKENS_MIN} tokens; {AUDITS_MIN} are needed")]
pub struct TooFew(pub usize);

/// A profile of honest audits' figures. `lower`: those of the next lower quantization sold as this one;
/// empty where nobody looked.
///
/// # Errors
/// Too few of `honest` are long enough.
pub fn calibrate(
    key: Key,
    version: u32,
    honest: &[Figures],
    lower: &[Figures],
) -> Result<Profile, TooFew> {
    let long = honest.iter().map(|figures| &figures.sums).filter(|sums| sums.tokens >= TOKENS_MIN);
    let (distances, flips): (Vec<f64>, Vec<f64>) =
        long.map(|sums| (sums.distance().unwrap_or(1.0), 1.0 - sums.zero().unwrap_or(1.0))).unzip();
    let audits = distances.len();
    if audits < AUDITS_MIN {
        return Err(TooFew(audits));
    }
    let distance = most(distances).max(DISTANCE_FLOOR);
    let flips = most(flips).max(FLIPS_FLOOR);
    let thresholds = Thresholds {
        distance_pass: distance,
        distance_fail: (distance * FAIL_FACTOR).min(1.0),
        zero_pass: 1.0 - flips,
        zero_fail: (1.0 - flips * FAIL_FACTOR).max(0.0),
    };
    let quant_undetectable = is_undetectable(&thresholds, lower);
    let audits = u32::try_from(audits).unwrap_or(u32::MAX);
    Ok(Profile { key, version, thresholds, audits, quant_undetectable })
}

/// What all but one in [`OUTSIDE`] are within.
fn most(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    let outside = figures.len() / OUTSIDE;
    figures.iter().rev().nth(outside).copied().unwrap_or(1.0)
}

fn is_undetectable(thresholds: &Thresholds, lower: &[Figures]) -> Option<bool> {
    let (mut windows, mut within) = (0u32, 0u32);
    let mut window = Sums::default();
    for figures in lower {
        window.add(&figures.sums);
        if window.tokens >= WINDOW_TOKENS {
            windows += 1;
            within += u32::from(thresholds.of(&window) == super::profile::Band::Pass);
            window = Sums::default();
        }
    }
    (windows > 0).then(|| f64::from(within) > OVERLAP_MAX * f64::from(windows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing::{Case, provenance, scored};
    use crate::route::Random;
    use openapi::commit::thousandths;

    /// Audits whose mean distance is about `distance`, and of whose tokens a share of `flips` has a margin.
    fn audits(number: u64, distance: f64, flips: f64) -> Vec<Figures> {
        let audit = |seed| {
            let (mut case, mut random) = (Case::honest(100), Random::new(seed));
            for (claim, score) in case.claims[0].iter_mut().zip(&mut case.scored.scores) {
                claim.lp += thousandths(2.0 * distance * random.unit());
                score.margin = Some(if random.unit() < flips { 0.1 } else { 0.0 });
            }
            Figures::new(&case.answer(), &case.scored, &mut random).unwrap()
        };
        (0..number).map(audit).collect()
    }

    fn key() -> Key {
        Key::of(&provenance(1), &scored(&[1])).unwrap()
    }

    #[test]
    fn honest_audits_are_within_but_for_one_in_two_hundred() {
        let honest = audits(1000, 0.02, 0.01);
        let profile = calibrate(key(), 1, &honest, &[]).unwrap();
        let outside =
            |sums: &Sums| profile.thresholds.distance(sums) != super::super::profile::Band::Pass;
        assert_eq!(honest.iter().filter(|figures| outside(&figures.sums)).count(), 5);
        assert!((0.02..0.03).contains(&profile.thresholds.distance_pass), "{profile:?}");
        assert!((0.95..0.97).contains(&profile.thresholds.zero_pass), "{profile:?}");
        assert_eq!((profile.audits, profile.quant_undetectable), (1000, None));
    }

    #[test]
    fn a_quantization_that_cannot_be_told_apart_is_called_so() {
        let honest = audits(300, 0.01, 0.004);
        let profile = |distance, flips| calibrate(key(), 1, &honest, &audits(100, distance, flips));
        assert_eq!(profile(0.01, 0.005).unwrap().quant_undetectable, Some(true));
        assert_eq!(profile(0.07, 0.043).unwrap().quant_undetectable, Some(false));
    }

    #[test]
    fn too_few_or_too_short_audits_make_no_profile() {
        assert_eq!(calibrate(key(), 1, &audits(199, 0.01, 0.0), &[]), Err(TooFew(199)));
        let short = Case::honest(63);
        let short = Figures::new(&short.answer(), &short.scored, &mut Random::new(1)).unwrap();
        assert_eq!(calibrate(key(), 1, &vec![short; 300], &[]), Err(TooFew(0)));
    }
}
