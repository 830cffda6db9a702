//! gumbel-v1: one token from one row of logits, the same on every machine that has the same row.
//! Owns the order of the steps; knows nothing of text, of grammars beyond a yes or no per id, or of
//! any engine.
//!
//! Per step: candidates are the 256 highest of (raw logit + `logit_bias`) plus every biased id. The
//! grammar's mask takes its part away. **When it leaves nobody, the candidates are the 256 highest
//! allowed ids of the whole row instead**, so a grammar can always go on. Then penalties
//! (repetition, Hugging Face's way, on prompt and answer; frequency and presence, OpenAI's way, on
//! the answer alone), division by T, `top_k`, `top_p`, `min_p`; the winner is the argmax of
//! `l / T + g`, ties to the lower id. T = 0, or a T so small that `l / T` is no finite number: argmax
//! without noise. Rows are f32, everything after them f64. Values that are not finite take no part.

mod candidates;
mod logprobs;
mod slate;
mod softmax;
mod truncate;

use candidates::Candidate;
use slate::Slate;
use std::collections::{HashMap, HashSet};

use crate::engine::Sampling;
pub use logprobs::{Distribution, Logprob};

/// Says whether a grammar lets an id follow.
pub type Allowed<'a> = &'a dyn Fn(u32) -> bool;

/// What a step chose.
#[derive(Debug, Clone, PartialEq)]
pub struct Pick {
    pub id: u32,
    /// Present when asked for: of the raw row, at T = 1, before bias, penalties and mask.
    pub logprob: Option<Logprob>,
}

/// A token that another one drew, beside what is drawn here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judgement {
    /// How far the token drawn here lies above it, in units of the logits; infinite where it is no
    /// candidate.
    pub margin: f64,
    /// Probability of all likelier candidates, and its own.
    pub above: f64,
    pub own: f64,
}

/// The sampler of one answer. It counts its own steps: `step` is the index of the generated token,
/// never the length of a context an engine hands over.
#[derive(Debug)]
pub struct Sampler {
    sampling: Sampling,
    logprobs: Option<u8>,
    /// Empty unless there is a repetition penalty.
    prompt: HashSet<u32>,
    generated: HashMap<u32, u32>,
    step: u64,
}

// === impl Sampler ===

impl Sampler {
    /// `logprobs`: as in a job, `Some(k)` for the token's own and the `k` likeliest.
    pub fn new(sampling: Sampling, prompt: &[u32], logprobs: Option<u8>) -> Self {
        let prompt = match sampling.repetition_penalty {
            1.0 => HashSet::new(),
            _ => prompt.iter().copied().collect(),
        };
        Self { sampling, logprobs, prompt, generated: HashMap::new(), step: 0 }
    }

    /// The next token, or `None` when the row holds no finite value an id could be drawn by.
    pub fn pick(&mut self, row: &[f32], allowed: Option<Allowed<'_>>) -> Option<Pick> {
        let id = self.slate(row, allowed).draw()?;
        self.replay(id);
        let logprob = self.logprobs.map(|k| Logprob::of(row, id, usize::from(k)));
        Some(Pick { id, logprob })
    }

    /// What this step makes of a token that another one drew. Draws nothing.
    pub fn judge(&self, row: &[f32], allowed: Option<Allowed<'_>>, id: u32) -> Judgement {
        let slate = self.slate(row, allowed);
        let (above, own) = slate.place(id);
        Judgement { margin: slate.margin(id), above, own }
    }

    /// Takes a token that was drawn elsewhere, as if it had been drawn here.
    pub fn replay(&mut self, id: u32) {
        *self.generated.entry(id).or_default() += 1;
        self.step += 1;
    }

    fn slate(&self, row: &[f32], allowed: Option<Allowed<'_>>) -> Slate {
        let mut candidates = self.candidates(row, allowed);
        self.penalise(&mut candidates);
        Slate::new(candidates, &self.sampling, self.step)
    }

    fn candidates(&self, row: &[f32], allowed: Option<Allowed<'_>>) -> Vec<Candidate> {
        let bias = &self.sampling.logit_bias;
        let mut candidates = candidates::of(row, bias, None);
        if let Some(allowed) = allowed {
            candidates.retain(|candidate| allowed(candidate.id));
            if candidates.is_empty() {
                candidates = candidates::of(row, bias, Some(allowed));
            }
        }
        candidates
    }

    fn penalise(&self, candidates: &mut [Candidate]) {
        let Sampling { presence_penalty, frequency_penalty, repetition_penalty, .. } =
            self.sampling;
        for candidate in candidates {
            let count = self.generated.get(&candidate.id).copied().unwrap_or(0);
            if repetition_penalty != 1.0 && (count > 0 || self.prompt.contains(&candidate.id)) {
                if candidate.value > 0.0 {
                    candidate.value /= repetition_penalty;
                } else {
                    candidate.value *= repetition_penalty;
                }
            }
            if count > 0 {
                candidate.value -= presence_penalty + f64::from(count) * frequency_penalty;
            }
        }
    }
}

#[cfg(test)]
mod tests;
