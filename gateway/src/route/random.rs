//! Random numbers for the choice: SplitMix64 (Steele, Lea, Flood, 2014). No secret and no system call;
//! the seed comes from outside, so a test or a simulation can pin it.

#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Of a number out of a sequence. Seeded by the numbers themselves, one choice would draw what the one
    /// before it drew, but for one: [`Self::draw`] goes in steps, as such a sequence does.
    pub fn of(number: u64) -> Self {
        Self(Self(!number).draw())
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// From 0 (included) to `n` (not); 0 where `n` is 0. Lemire's multiplication; its bias is below n/2^64.
    pub fn below(&mut self, n: usize) -> usize {
        let wide = u128::from(self.draw()) * (n as u128);
        usize::try_from(wide >> 64).unwrap_or(0)
    }

    /// From 0 (included) to 1 (not).
    pub fn unit(&mut self) -> f64 {
        share(self.draw())
    }
}

/// A number from 0 (included) to 1 (not) of a random one.
pub fn draw(random: u64) -> f64 {
    share(mix(random))
}

/// An f64 holds 53 bits.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
fn share(random: u64) -> f64 {
    (random >> 11) as f64 / (1u64 << 53) as f64
}

/// The finaliser: numbers that follow one another come out unlike.
fn mix(random: u64) -> u64 {
    let z = (random ^ (random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same() {
        let draws = |seed| {
            let mut random = Random::new(seed);
            [random.draw(), random.draw(), random.draw()]
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
    }

    #[test]
    fn draws_are_even_and_within_bounds() {
        let mut random = Random::new(3);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[random.below(7)] += 1;
            assert!((0.0..1.0).contains(&random.unit()));
        }
        assert!(counts.iter().all(|count| (9_600..10_400).contains(count)), "{counts:?}");
        assert_eq!(random.below(0), 0);
    }
    #[test]
    fn neighbours_in_a_sequence_draw_nothing_in_common() {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut seen = std::collections::HashSet::new();
        for number in 0..1000u64 {
            let mut random = Random::of(number.wrapping_mul(STEP));
            assert!((0..32).all(|_| seen.insert(random.draw())), "{number}");
        }
    }
}
