//! A language model without weights: logits are a hash of the last tokens and of the whole prompt, so that
//! every token and every word of the prompt matters. Quantization and rounding are noise upon them. Words
//! are likely, an end grows likelier with every token, and all else comes up under a grammar alone.

use super::vocabulary::{BYTES, END, ROW, WORDS};

/// Tokens that the next one depends on, beside the prompt.
const REACH: usize = 3;
/// Tokens after which an end begins to be likely, and how fast, in standard deviations of the logits.
const END_AT: f32 = 80.0;
const END_RISE: f32 = 0.03;
/// Standard deviation of the logits: some steps leave no choice, some much. Such that the mean
/// log-likelihood is about −0.6, as real models' is on their own answers.
const FOCUS: (f32, f32) = (3.0, 12.0);
/// Logit of what is no word.
const UNLIKELY: f32 = -60.0;

/// The precision of its weights, as far as it tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Quant {
    #[default]
    F32,
    Q8,
    Fp8,
    Q4,
    Q3,
}

#[derive(Debug, Clone)]
pub(super) struct Language {
    seed: u64,
    /// How much likelier the likely is than the rest.
    focus: f32,
    noises: Vec<Noise>,
}

/// Upon each logit.
#[derive(Debug, Clone, Copy)]
struct Noise {
    seed: u64,
    size: f32,
}

/// What the next token depends on.
#[derive(Debug, Clone)]
pub(super) struct Context {
    topic: u64,
    last: [u32; REACH],
    step: u32,
}

// === impl Quant ===

impl Quant {
    const ALL: [(&'static str, Self, f32); 5] = [
        ("f32", Self::F32, 0.0),
        ("q8_0", Self::Q8, 0.06),
        ("fp8", Self::Fp8, 0.12),
        ("q4_k_m", Self::Q4, 0.35),
        ("q3_k_m", Self::Q3, 0.7),
    ];

    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(its, ..)| *its == name).map(|(_, quant, _)| *quant)
    }

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, its, _)| *its == self).map_or("", |(name, ..)| name)
    }

    /// Standard deviation of what it does to logits, about what is seen of such quantizations.
    fn noise(self) -> f32 {
        Self::ALL.iter().find(|(_, its, _)| *its == self).map_or(0.0, |(.., noise)| *noise)
    }
}

// === impl Context ===

impl Context {
    pub(super) fn new(prompt: &[u32]) -> Self {
        let topic = prompt.iter().fold(1, |hash, id| mixed(hash ^ u64::from(*id)));
        let mut context = Self { topic, last: [0; REACH], step: 0 };
        prompt.iter().for_each(|id| context.push(*id));
        context.step = 0;
        context
    }

    pub(super) fn push(&mut self, id: u32) {
        self.last.rotate_left(1);
        if let Some(last) = self.last.last_mut() {
            *last = id;
        }
        self.step = self.step.saturating_add(1);
    }

    /// Tokens of the answer so far.
    pub(super) fn step(&self) -> usize {
        self.step as usize
    }
}

// === impl Language ===

impl Language {
    pub(super) fn new(weights: &str, focus: f32) -> Self {
        let hash = blake3::hash(weights.as_bytes());
        let seed = hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Self { seed, focus, noises: Vec::new() }
    }

    pub(super) fn quantized(self, quant: Quant) -> Self {
        let seed = mixed(self.seed ^ quant as u64);
        self.noisy(seed, quant.noise())
    }

    pub(super) fn with_noise(self, machine: u64, size: f32) -> Self {
        self.noisy(mixed(!machine), size)
    }

    fn noisy(mut self, seed: u64, size: f32) -> Self {
        if size > 0.0 {
            self.noises.push(Noise { seed, size });
        }
        self
    }

    pub(super) fn row(&self, context: &Context) -> Vec<f32> {
        let near = context.last.iter().fold(self.seed, |hash, id| mixed(hash ^ u64::from(*id)));
        let far = mixed(self.seed ^ context.topic);
        let focus = self.focus * (FOCUS.0 + FOCUS.1 * unit(mixed(near ^ far)));
        let end = 1.0 + (context.step as f32 - END_AT) * END_RISE;
        let words = BYTES..BYTES + WORDS;
        let mut row: Vec<f32> = (0..ROW)
            .map(|id| match id {
                END => focus * (end + 0.5 * normal(near, id)),
                id if words.contains(&id) => {
                    focus * (0.85 * normal(near, id) + 0.5 * normal(far, id))
                }
                id => UNLIKELY + normal(near, id),
            })
            .collect();
        let here = mixed(near ^ far.rotate_left(17) ^ u64::from(context.step));
        for noise in &self.noises {
            let seed = mixed(here ^ noise.seed);
            for (id, logit) in (0..).zip(&mut row) {
                *logit += noise.size * normal(seed, id);
            }
        }
        row
    }
}

/// About normal, of variance 1: the sum of four even numbers.
fn normal(seed: u64, id: u32) -> f32 {
    let bits = mixed(seed ^ (u64::from(id) << 32 | u64::from(id)));
    let sum: u64 = (0..4).map(|part| bits >> (16 * part) & 0xFFFF).sum();
    (sum as f32 / 65_536.0 - 2.0) * 1.732_050_8
}

fn unit(bits: u64) -> f32 {
    (bits >> 40) as f32 / (1u64 << 24) as f32
}

/// SplitMix64's finaliser.
fn mixed(bits: u64) -> u64 {
    let z = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
