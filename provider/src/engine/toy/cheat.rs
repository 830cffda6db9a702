//! How a toy cheats: by another model, another request than it was asked, or another word about what it did.
//! All of it goes through the shipped server, which signs what it is given.

use openapi::chat::FinishReason;
use openapi::commit::{Claim, TOP, thousandths};
use openapi::usage::Usage;
use std::sync::Arc;

use super::Inner;
use super::language::Context;
use super::vocabulary::{BYTES, WORDS};
use crate::engine::{Delta, Event, Job, Prompt};
use crate::sampler::Distribution;

/// Tokens after which a truncated answer ends.
const TRUNCATED: u32 = 24;
/// Of a request's answer, in a truncated one.
const KEPT: u32 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cheat {
    /// A smaller model answers, and says so in its log-probabilities.
    WrongModel,
    /// A smaller model writes, the one that was sold fills in the log-probabilities of what it wrote.
    Prefill,
    /// 4 or 8 bits sold as more.
    Q4,
    Q8,
    /// Ends early, as if it were done.
    Truncated,
    /// One answer to everything.
    Canned,
    /// Leaves out the system's messages, and says so in the prompt's hash, or denies it.
    DroppedSystemPrompt,
    HiddenSystemPrompt,
    /// Counts more tokens than there are.
    InflatedCount,
    /// Tells each word as its letters, which are more tokens.
    SplitTokens,
    /// Tells other tokens than those of the text.
    OtherIds,
    /// A smaller model, with log-probabilities made up.
    ForgedLogprobs,
    /// Takes the likeliest token, whatever the temperature.
    IgnoresTemperature,
    /// Draws by a seed of its own.
    IgnoresSeed,
    /// Scores by saying that all is well, or anything.
    LazyConstant,
    LazyRandom,
    /// Lets pass whoever runs the same smaller model.
    Colluding,
}

const NAMES: [(&str, Cheat); 17] = [
    ("wrong_model", Cheat::WrongModel),
    ("prefill", Cheat::Prefill),
    ("q4", Cheat::Q4),
    ("q8", Cheat::Q8),
    ("truncated", Cheat::Truncated),
    ("canned", Cheat::Canned),
    ("dropped_system_prompt", Cheat::DroppedSystemPrompt),
    ("hidden_system_prompt", Cheat::HiddenSystemPrompt),
    ("inflated_count", Cheat::InflatedCount),
    ("split_tokens", Cheat::SplitTokens),
    ("other_ids", Cheat::OtherIds),
    ("forged_logprobs", Cheat::ForgedLogprobs),
    ("ignores_temperature", Cheat::IgnoresTemperature),
    ("ignores_seed", Cheat::IgnoresSeed),
    ("lazy_constant", Cheat::LazyConstant),
    ("lazy_random", Cheat::LazyRandom),
    ("colluding", Cheat::Colluding),
];

/// What a cheater remembers of one answer to lie about it at its end.
#[derive(Debug)]
pub(super) struct Twist {
    cheat: Cheat,
    context: Context,
    prompt_tokens: u32,
    /// Tokens drawn here, and of each how many are told of it.
    drawn: Vec<u32>,
    told: Vec<usize>,
    skipped: u64,
}

// === impl Cheat ===

impl Cheat {
    pub fn of(name: &str) -> Option<Self> {
        NAMES.iter().find(|(its, _)| *its == name).map(|(_, cheat)| *cheat)
    }

    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// Whether something cheaper than what was sold makes the tokens.
    pub(super) fn is_cheap(self) -> bool {
        use Cheat::{ForgedLogprobs, Prefill, Q4, Q8, WrongModel};
        matches!(self, WrongModel | Prefill | Q4 | Q8 | ForgedLogprobs)
    }

    /// The request that is answered in the place of this one.
    pub(super) fn instead_of(self, job: &Job) -> Option<Job> {
        let mut other = job.clone();
        match self {
            Self::Truncated => {
                other.max_tokens =
                    Some(job.max_tokens.map_or(TRUNCATED, |max| (max / KEPT).max(1)));
            }
            Self::Canned => {
                other.prompt = Prompt::Text("anything".to_owned());
                other.sampling.seed = 1;
            }
            Self::DroppedSystemPrompt | Self::HiddenSystemPrompt => {
                let Prompt::Chat(request) = &job.prompt else { return None };
                let mut request = openapi::chat::Request::clone(request);
                request.messages.retain(|it| it.role != "system" && it.role != "developer");
                other.prompt = Prompt::Chat(Arc::new(request));
            }
            Self::IgnoresTemperature => other.sampling.temperature = 0.0,
            Self::IgnoresSeed => other.sampling.seed = job.sampling.seed.wrapping_add(1),
            _ => return None,
        }
        Some(other)
    }
}

// === impl Twist ===

impl Twist {
    /// `prompt`: the one that is answered; `prompt_tokens`: of the one that was asked.
    pub(super) fn new(cheat: Cheat, job: &Job, prompt: &[u32], prompt_tokens: u32) -> Self {
        let mut context = Context::new(prompt);
        let before = job.resume.iter().flat_map(|resume| &resume.ids);
        before.clone().for_each(|id| context.push(*id));
        let skipped = before.count() as u64;
        Self { cheat, context, prompt_tokens, drawn: Vec::new(), told: Vec::new(), skipped }
    }

    pub(super) fn cheat(&self) -> Cheat {
        self.cheat
    }

    pub(super) fn event(&mut self, event: Event, inner: &Inner) -> Event {
        match event {
            Event::Delta(delta) => {
                let ids = self.ids(&delta.ids, inner);
                Event::Delta(Delta { ids, ..delta })
            }
            Event::Finish { reason, usage, ids, claims } => {
                let ids = self.ids(&ids, inner);
                let reason = match (self.cheat, reason) {
                    (Cheat::Truncated, FinishReason::Length) => FinishReason::Stop,
                    (_, reason) => reason,
                };
                let claims = self.claims(claims, inner);
                Event::Finish { reason, usage: self.usage(usage), ids, claims }
            }
            Event::Raw(bytes) => Event::Raw(bytes),
        }
    }

    /// What is told of tokens that were drawn.
    fn ids(&mut self, drawn: &[u32], inner: &Inner) -> Vec<u32> {
        self.drawn.extend_from_slice(drawn);
        let mut told = Vec::new();
        for id in drawn {
            let word = (BYTES..BYTES + WORDS).contains(id);
            let before = told.len();
            match self.cheat {
                Cheat::SplitTokens if word => {
                    let piece = inner.model.tokenizer.piece(*id);
                    told.extend(piece.iter().flat_map(|it| &it.bytes).map(|byte| u32::from(*byte)));
                }
                Cheat::OtherIds if word => told.push(BYTES + (id - BYTES + 1) % WORDS),
                _ => told.push(*id),
            }
            self.told.push(told.len() - before);
        }
        told
    }

    fn usage(&self, usage: Usage) -> Usage {
        let answer = match self.cheat {
            Cheat::InflatedCount => usage.completion_tokens * 5 / 4 + 1,
            Cheat::SplitTokens => self.told.iter().sum::<usize>() as u64 + self.skipped,
            _ => usage.completion_tokens,
        };
        let prompt = match self.cheat {
            Cheat::DroppedSystemPrompt => usage.prompt_tokens,
            _ => self.prompt_tokens.into(),
        };
        Usage {
            completion_tokens_details: usage.completion_tokens_details,
            ..Usage::new(prompt, answer)
        }
    }

    fn claims(&self, honest: Vec<Claim>, inner: &Inner) -> Vec<Claim> {
        match self.cheat {
            Cheat::Prefill => self.filled_in(inner),
            Cheat::ForgedLogprobs => honest.into_iter().map(forged).collect(),
            Cheat::SplitTokens => {
                let parts = honest.into_iter().zip(&self.told);
                parts.flat_map(|(claim, told)| std::iter::repeat_n(claim, *told)).collect()
            }
            _ => honest,
        }
    }

    /// What the model that was sold says of the tokens: one pass over them, no decoding.
    fn filled_in(&self, inner: &Inner) -> Vec<Claim> {
        let mut context = self.context.clone();
        let claim = |id: &u32| {
            let row = inner.sold.row(&context);
            context.push(*id);
            let all = Distribution::new(&row);
            let top = all.top(TOP).into_iter().map(|(id, lp)| (id, thousandths(lp)));
            Claim { lp: thousandths(all.logprob(*id)), top: top.collect() }
        };
        self.drawn.iter().map(claim).collect()
    }
}

/// As a sure model's.
fn forged(claim: Claim) -> Claim {
    let lp = -(claim.lp.unsigned_abs().cast_signed() % 97);
    Claim { lp, top: Vec::new() }
}
