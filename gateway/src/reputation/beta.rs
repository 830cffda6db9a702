//! The Beta distribution's quantile, by halving an interval of its distribution function: Lentz' continued
//! fraction (Press et al., Numerical Recipes, 6.4) and Lanczos' logarithm of Γ (g = 7, n = 9).

const ROUNDS_MAX: u32 = 300;
const TINY: f64 = 1e-300;

/// x with P(X ≤ x) = `p`, to a few units of the last place. `a`, `b` > 0.
pub(super) fn quantile(p: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0f64, 1.0f64);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        match distribution(middle, a, b) < p {
            true => low = middle,
            false => high = middle,
        }
    }
    f64::midpoint(low, high)
}

/// P(X ≤ x): the regularised incomplete Beta function.
fn distribution(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = a * x.ln() + b * (-x).ln_1p() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b);
    // The fraction converges fast on this side of the mean.
    match x < (a + 1.0) / (a + b + 2.0) {
        true => front.exp() * fraction(x, a, b) / a,
        false => 1.0 - front.exp() * fraction(1.0 - x, b, a) / b,
    }
}

fn fraction(x: f64, a: f64, b: f64) -> f64 {
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut c, mut d) = (1.0, 1.0 / away(1.0 - (a + b) * x / (a + 1.0)));
    let mut sum = d;
    for round in 1..=ROUNDS_MAX {
        let m = f64::from(round);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut last = 1.0;
        for term in [even, odd] {
            d = 1.0 / away(1.0 + term * d);
            c = away(1.0 + term / c);
            last = c * d;
            sum *= last;
        }
        if (last - 1.0).abs() < 1e-15 {
            break;
        }
    }
    sum
}

/// Of x ≥ ½.
#[expect(clippy::excessive_precision, reason = "the coefficients as they were published")]
fn ln_gamma(x: f64) -> f64 {
    const FIRST: f64 = 0.999_999_999_999_809_93;
    const REST: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_13,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_571_6e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let sum: f64 = (1u32..).zip(REST).map(|(at, term)| term / (x + f64::from(at))).sum();
    let t = x + 7.5;
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + (FIRST + sum).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_of_gamma_are_those_of_factorials() {
        let mut factorial = 1.0f64;
        for n in 1..20u32 {
            factorial *= f64::from(n);
            assert!((ln_gamma(f64::from(n) + 1.0) - factorial.ln()).abs() < 1e-11, "{n}");
        }
        assert!((ln_gamma(0.5) - std::f64::consts::PI.sqrt().ln()).abs() < 1e-13);
    }

    #[test]
    fn known_distributions_come_out() {
        for x in [0.01, 0.3, 0.9] {
            assert!((distribution(x, 1.0, 1.0) - x).abs() < 1e-14);
            assert!((distribution(x, 1.0, 3.0) - (1.0 - (1.0 - x).powi(3))).abs() < 1e-14);
            assert!((distribution(x, 4.0, 1.0) - x.powi(4)).abs() < 1e-14);
        }
        assert_eq!((distribution(0.0, 2.0, 2.0), distribution(1.0, 2.0, 2.0)), (0.0, 1.0));
    }

    #[test]
    fn the_quantile_is_the_distributions_inverse() {
        for (a, b) in [(1.0, 3.0), (31.0, 3.0), (1.0, 203.0), (100_001.0, 8.0), (0.5, 0.5)] {
            for p in [0.001, 0.05, 0.5, 0.999] {
                let x = quantile(p, a, b);
                assert!((distribution(x, a, b) - p).abs() < 1e-9, "{a} {b} {p}: {x}");
            }
        }
    }
}
