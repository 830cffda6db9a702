//! Those that one step may draw, best first, and by what it draws: the draw itself, and what a scorer
//! says of a token that another one drew.

use openapi::gumbel;
use std::cmp::Ordering;

use super::candidates::{self, Candidate};
use super::truncate;
use crate::engine::Sampling;

#[derive(Debug)]
pub(super) struct Slate {
    /// Behind penalties, in order; divided by the temperature and truncated where there is one.
    candidates: Vec<Candidate>,
    /// Seed, step and temperature of the noise; absent: argmax.
    noise: Option<(u64, u64, f64)>,
}

// === impl Slate ===

impl Slate {
    /// Of candidates with their penalties, in no order.
    pub(super) fn new(mut candidates: Vec<Candidate>, sampling: &Sampling, step: u64) -> Self {
        candidates::sort(&mut candidates);
        let temperature = sampling.temperature;
        let is_hot = temperature > 0.0
            && candidates.iter().all(|candidate| (candidate.value / temperature).is_finite());
        if !is_hot {
            return Self { candidates, noise: None };
        }
        for candidate in &mut candidates {
            candidate.value /= temperature;
        }
        truncate::top_k(&mut candidates, sampling.top_k);
        truncate::top_p(&mut candidates, sampling.top_p);
        truncate::min_p(&mut candidates, sampling.min_p);
        Self { candidates, noise: Some((sampling.seed, step, temperature)) }
    }

    /// The token drawn: of noisy ones the best.
    pub(super) fn draw(&self) -> Option<u32> {
        self.winner().map(|winner| winner.id)
    }

    /// How far the token drawn lies above `id`, in units of the logits; infinite where `id` is none of
    /// the candidates.
    pub(super) fn margin(&self, id: u32) -> f64 {
        let own = self.candidates.iter().find(|candidate| candidate.id == id);
        let (Some(own), Some(winner)) = (own, self.winner()) else { return f64::INFINITY };
        if winner.id == id {
            return 0.0;
        }
        let scale = self.noise.map_or(1.0, |(_, _, temperature)| temperature);
        let margin = (winner.value - self.noisy(*own).value) * scale;
        if margin.is_nan() { f64::INFINITY } else { margin.max(0.0) }
    }

    /// Probability of all that are likelier than `id`, and its own.
    pub(super) fn place(&self, id: u32) -> (f64, f64) {
        let at = self.candidates.iter().position(|candidate| candidate.id == id);
        let Some(at) = at else { return (1.0, 0.0) };
        if self.noise.is_none() {
            return if at == 0 { (0.0, 1.0) } else { (1.0, 0.0) };
        }
        let weights = truncate::weights(&self.candidates);
        let total: f64 = weights.iter().sum();
        let above: f64 = weights.iter().take(at).sum();
        (above / total, weights.get(at).copied().unwrap_or_default() / total)
    }

    fn winner(&self) -> Option<Candidate> {
        match self.noise {
            None => self.candidates.first().copied(),
            Some(_) => {
                let noisy = self.candidates.iter().map(|candidate| self.noisy(*candidate));
                noisy.reduce(
                    |a, b| if candidates::order(&a, &b) == Ordering::Greater { b } else { a },
                )
            }
        }
    }

    fn noisy(&self, candidate: Candidate) -> Candidate {
        let Some((seed, step, _)) = self.noise else { return candidate };
        let value = candidate.value + gumbel::noise(seed, step, candidate.id);
        Candidate { value, ..candidate }
    }
}
