//! How long a provider takes to the first token, by the length of the prompt: `T = a + b·x`, learned by
//! ridge regression with exponential forgetting (γ 0.985 an observation) around a prior of weight 2.
//!
//! Only what came without a queue may be shown to it: where it also absorbs queueing, a greedy choice
//! herds.

/// Of what came before, at each observation.
const FORGET: f32 = 0.985;
/// Observations that the prior is worth.
const PRIOR: f32 = 2.0;
/// Seconds a token of the prompt, before anything is known.
const PROMPT_TOKEN_S: f32 = 1.0 / 4000.0;
/// Seconds beside the way there and back, before anything is known.
const BASE_S: f32 = 0.5;
/// Tokens are counted in thousands within, so that the sums are of one size.
const SCALE: f32 = 1000.0;
/// No provider is faster.
const BASE_MIN_S: f32 = 1e-3;

/// Sums of what the observations differ from the prior by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ttft {
    /// Seconds there and back.
    round_trip_s: f32,
    n: f32,
    z: f32,
    zz: f32,
    r: f32,
    rz: f32,
}

/// a and b, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    pub(super) base_s: f32,
    pub(super) prompt_token_s: f32,
}

// === impl Ttft ===

impl Ttft {
    pub(super) fn new(round_trip_s: f32) -> Self {
        Self { round_trip_s, n: 0.0, z: 0.0, zz: 0.0, r: 0.0, rz: 0.0 }
    }

    /// Until something was observed; from then on the observations have it in them.
    pub(super) fn set_round_trip(&mut self, seconds: f32) {
        if self.n == 0.0 {
            self.round_trip_s = seconds;
        }
    }

    fn prior(&self, tokens: f32) -> f32 {
        BASE_S + self.round_trip_s + PROMPT_TOKEN_S * tokens
    }

    pub(super) fn observe(&mut self, tokens: f32, seconds: f32) {
        let (z, r) = (tokens / SCALE, seconds - self.prior(tokens));
        if !z.is_finite() || !r.is_finite() {
            return;
        }
        for sum in [&mut self.n, &mut self.z, &mut self.zz, &mut self.r, &mut self.rz] {
            *sum *= FORGET;
        }
        self.n += 1.0;
        self.z += z;
        self.zz += z * z;
        self.r += r;
        self.rz += r * z;
    }

    /// If what came before made it slower than the prior, it is of another time.
    pub(super) fn forget_slowness(&mut self) {
        if self.r > 0.0 {
            *self = Self::new(self.round_trip_s);
        }
    }

    /// Solves the two normal equations.
    pub(super) fn line(&self) -> Line {
        let (n, zz) = (self.n + PRIOR, self.zz + PRIOR);
        let determinant = (n * zz - self.z * self.z).max(1e-6);
        let base = (self.r * zz - self.rz * self.z) / determinant;
        let slope = (n * self.rz - self.z * self.r) / determinant;
        Line {
            base_s: (BASE_S + self.round_trip_s + base).max(BASE_MIN_S),
            prompt_token_s: (PROMPT_TOKEN_S + slope / SCALE).max(0.0),
        }
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small numbers")]
mod tests {
    use super::*;
    use crate::route::Random;

    /// So many first tokens of a provider with these a and b, ± 20 %.
    fn observe(ttft: &mut Ttft, base_s: f32, prompt_token_s: f32, count: u32) {
        let mut random = Random::new(7);
        for _ in 0..count {
            let tokens = 200.0 + 4000.0 * random.unit() as f32;
            let noise = 0.8 + 0.4 * random.unit() as f32;
            ttft.observe(tokens, (base_s + prompt_token_s * tokens) * noise);
        }
    }

    #[track_caller]
    fn assert_near(found: f32, wanted: f32, share: f32) {
        assert!((found - wanted).abs() <= share * wanted, "{found}, not {wanted}");
    }

    #[test]
    fn before_anything_it_is_the_prior() {
        let line = Ttft::new(0.1).line();
        assert_eq!(line, Line { base_s: 0.6, prompt_token_s: 1.0 / 4000.0 });
    }

    #[test]
    fn it_finds_the_line_behind_the_noise() {
        let mut ttft = Ttft::new(0.05);
        observe(&mut ttft, 0.2, 1.0 / 8000.0, 300);
        let Line { base_s, prompt_token_s } = ttft.line();
        assert_near(base_s + 1000.0 * prompt_token_s, 0.325, 0.15);
        assert_near(base_s + 4000.0 * prompt_token_s, 0.700, 0.10);
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let mut ttft = Ttft::new(0.05);
        observe(&mut ttft, 0.2, 1.0 / 8000.0, 300);
        observe(&mut ttft, 2.0, 1.0 / 1000.0, 300);
        let Line { base_s, prompt_token_s } = ttft.line();
        assert_near(base_s + 2000.0 * prompt_token_s, 4.0, 0.15);
    }

    #[test]
    fn a_few_do_not_outweigh_the_prior() {
        let mut ttft = Ttft::new(0.0);
        ttft.observe(1000.0, 7.5);
        // About half of the way from 0.75 s.
        let Line { base_s, prompt_token_s } = ttft.line();
        assert_near(base_s + 1000.0 * prompt_token_s, 4.125, 0.01);
    }

    #[test]
    fn no_numbers_are_ignored_and_nothing_is_negative() {
        let mut ttft = Ttft::new(0.0);
        let before = ttft.line();
        ttft.observe(f32::NAN, 1.0);
        ttft.observe(1.0, f32::INFINITY);
        assert_eq!(ttft.line(), before);
        for _ in 0..100 {
            ttft.observe(4000.0, 0.0);
            ttft.observe(10.0, 3.0);
        }
        let Line { base_s, prompt_token_s } = ttft.line();
        assert!(base_s >= BASE_MIN_S && prompt_token_s >= 0.0);
    }
}
