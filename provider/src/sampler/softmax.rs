//! The logarithm of a softmax's sum: the one thing that looks at every logit of a row with more than a
//! comparison, for each token that is claimed or scored. In f32, sixteen side by side, summed up in f64
//! block by block: right to about 1e-7, for claims in thousandths.

const LANES: usize = 16;
/// Summed in f32.
const BLOCK: usize = 1024;

/// ln Σ exp(logit). A value that is no number counts as nothing; of nothing it is -∞.
pub(super) fn log_sum_exp(row: &[f32]) -> f64 {
    let max = row.iter().copied().map(finite).fold(f32::NEG_INFINITY, f32::max);
    if max == f32::NEG_INFINITY {
        return f64::NEG_INFINITY;
    }
    let mut total = 0.0;
    for block in row.chunks(BLOCK) {
        let mut sums = [0.0; LANES];
        let (chunks, rest) = block.as_chunks::<LANES>();
        for chunk in chunks {
            for (sum, logit) in sums.iter_mut().zip(chunk) {
                *sum += exp(finite(*logit) - max);
            }
        }
        for (sum, logit) in sums.iter_mut().zip(rest) {
            *sum += exp(finite(*logit) - max);
        }
        total += sums.iter().map(|sum| f64::from(*sum)).sum::<f64>();
    }
    f64::from(max) + total.ln()
}

fn finite(logit: f32) -> f32 {
    if logit.is_finite() { logit } else { f32::NEG_INFINITY }
}

/// e^x of an x up to 0, without a branch: 2^n · e^r with |r| ≤ ln 2 / 2 and Taylor's polynomial of r.
/// Below -80 it is that of -80, which is nothing beside the 1 of the best.
fn exp(x: f32) -> f32 {
    /// Adding it rounds to whole numbers: 1.5 · 2^23.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts, the first of few bits.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let x = x.max(-80.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * LN_2[0] - n * LN_2[1];
    let polynomial = [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0]
        .iter()
        .fold(1.0 / 720.0, |p, c| p * r + c);
    // The lowest bits of `rounded` are n's; shifted they add to the exponent.
    f32::from_bits(f32::to_bits(polynomial).wrapping_add(rounded.to_bits() << 23))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plainly(row: &[f32]) -> f64 {
        let finite = || row.iter().filter(|logit| logit.is_finite()).map(|logit| f64::from(*logit));
        let max = finite().fold(f64::NEG_INFINITY, f64::max);
        max + finite().map(|logit| (logit - max).exp()).sum::<f64>().ln()
    }

    #[test]
    fn of_nothing_and_of_what_is_no_number() {
        assert_eq!(log_sum_exp(&[]), f64::NEG_INFINITY);
        assert_eq!(log_sum_exp(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]), f64::NEG_INFINITY);
        assert_eq!(log_sum_exp(&[f32::NAN, 3.0, f32::NEG_INFINITY]), 3.0);
        let row: Vec<f32> = (0..150_000u32).map(|id| ((id * 37) % 9973) as f32 / -500.0).collect();
        assert!((log_sum_exp(&row) - plainly(&row)).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn it_is_the_naive_sum(row in prop::collection::vec(
            prop_oneof![9 => -40.0f32..40.0, 1 => -1e6f32..1e6, 1 => Just(f32::NAN)], 1..3000)) {
            prop_assume!(row.iter().any(|logit| logit.is_finite()));
            prop_assert!((log_sum_exp(&row) - plainly(&row)).abs() < 1e-6);
        }
    }
}
