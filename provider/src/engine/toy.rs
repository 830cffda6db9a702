//! A test engine: a language model that is a hash function, behind the whole pipeline of a real one
//! (template, tokens, grammar, canonical sampler, evidence, scoring). It needs no weights, gives the same
//! answer everywhere, and can be made to cheat in each way that audits are there to find, so that audits
//! can be tested against the shipped server. Its engine name says what it is; nothing else does, for a
//! cheater does not announce itself. It is never chosen but by name.

mod cheat;
mod language;
mod run;
mod scoring;
mod vocabulary;

pub use cheat::Cheat;
pub use language::Quant;

use futures_util::future::BoxFuture;
use openapi::evidence::Provenance;
use openapi::gumbel;
use openapi::node::Feature;
use openapi::usage::Usage;
use std::sync::Arc;
use std::time::Duration;

use super::score::{self, Reach};
use super::tally::Tally;
use super::{Answer, Engine, Error, Generation, Job, ModelInfo};
use crate::counters::Counters;
use crate::decode::Decode;
use crate::model::{Model, Prepared};
use crate::tokenizer;
use language::{Context, Language};
use run::Run;

const ENGINE: &str = concat!("toy/", env!("CARGO_PKG_VERSION"));
const PRECISION: &str = "f32";
const FEATURES: [Feature; 8] = [
    Feature::Chat,
    Feature::Completions,
    Feature::Tools,
    Feature::JsonSchema,
    Feature::Logprobs,
    Feature::Evidence,
    Feature::Resume,
    Feature::Score,
];

/// How a toy is set up.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The name requests ask for.
    pub id: String,
    /// Unix seconds, for the model list.
    pub created: i64,
    pub max_concurrent: usize,
    /// Names the weights: other names, other models.
    pub weights: String,
    pub quant: Quant,
    /// Standard deviation of what this machine's arithmetic adds to each logit.
    pub noise: f32,
    /// Whose arithmetic: machines of the same number round alike.
    pub machine: u64,
    /// Behind the engine's name and version, for one that is another build.
    pub build: Option<String>,
    /// Between two tokens.
    pub token_delay: Duration,
    pub cheat: Option<Cheat>,
    /// Of requests, share that it cheats on.
    pub cheat_share: f64,
}

/// The engine. Shared by all requests.
#[derive(Debug)]
pub struct Toy {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    model: Model,
    /// What it is said to be, and what cheaters run instead.
    sold: Language,
    cheap: Language,
    counters: Arc<Counters>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            id: "toy".to_owned(),
            created: 0,
            max_concurrent: 64,
            weights: "toy".to_owned(),
            quant: Quant::F32,
            noise: 0.0,
            machine: 0,
            build: None,
            token_delay: Duration::ZERO,
            cheat: None,
            cheat_share: 1.0,
        }
    }
}

/// What weights of this name are called.
pub fn weights_id(weights: &str) -> String {
    format!("b3:{}", blake3::hash(format!("toy {weights}").as_bytes()).to_hex())
}

// === impl Toy ===

impl Toy {
    /// # Errors
    /// Its own vocabulary makes no tokenizer: a fault of this build.
    pub fn new(options: Options, counters: Arc<Counters>) -> Result<Self, tokenizer::Error> {
        let rounded = |language: Language| language.with_noise(options.machine, options.noise);
        let sold = Language::new(&options.weights, 1.0).quantized(options.quant);
        let cheap = match options.cheat {
            Some(Cheat::Q8) => Language::new(&options.weights, 1.0).quantized(Quant::Q8),
            Some(Cheat::Q4) => Language::new(&options.weights, 1.0).quantized(Quant::Q4),
            // Smaller models write what is more predictable.
            _ => Language::new(&format!("{} small", options.weights), 1.25),
        };
        let (sold, cheap) = (rounded(sold), rounded(cheap));
        let model = vocabulary::model()?;
        Ok(Self { inner: Arc::new(Inner { options, model, sold, cheap, counters }) })
    }

    fn begin(&self, job: &Job) -> Result<Answer, Error> {
        let inner = &self.inner;
        if job.model != inner.options.id {
            return Err(Error::UnknownModel(job.model.clone()));
        }
        let cheat = inner.cheat(&job.request_id);
        let prepared = inner.model.prepare(job)?;
        let prompt_tokens = u32::try_from(prepared.ids.len()).unwrap_or(u32::MAX);
        let mut provenance = job.evidence.then(|| inner.provenance(&prepared, job.sampling.seed));
        let (job, prepared) = match cheat.and_then(|cheat| cheat.instead_of(job)) {
            None => (job.clone(), prepared),
            Some(other) => {
                let prepared = inner.model.prepare(&other)?;
                (other, prepared)
            }
        };
        if let (Some(Cheat::DroppedSystemPrompt), Some(told)) = (cheat, &mut provenance) {
            told.prompt_ids_sha256 = prepared.ids_sha256();
        }
        let tally = Tally::start(&inner.counters);
        let counters = Arc::clone(&inner.counters);
        let (mut decode, prompt, events) = Decode::new(&inner.model, prepared, &job, counters);
        let mut context = Context::new(&prompt);
        if let Some(resume) = &job.resume {
            decode.resume(resume)?;
            resume.ids.iter().for_each(|id| context.push(*id));
        }
        let twist = cheat.map(|cheat| cheat::Twist::new(cheat, &job, &prompt, prompt_tokens));
        let run = Run { inner: Arc::clone(inner), decode, context, events, twist, tally };
        let provenance = provenance.map(Box::new);
        Ok(Answer::Events(Generation { prompt_tokens, provenance, events: run.stream() }))
    }
}

impl Engine for Toy {
    fn models(&self) -> Vec<ModelInfo> {
        let inner = &self.inner;
        vec![ModelInfo {
            id: inner.options.id.clone(),
            created: inner.options.created,
            context_length: Some(vocabulary::CONTEXT.into()),
            weights_id: Some(weights_id(&inner.options.weights)),
            quant: Some(inner.options.quant.name().to_owned()),
            kv_dtype: Some(PRECISION.to_owned()),
            engine: Some(inner.engine()),
            template_sha256: Some(inner.template_sha256()),
            features: FEATURES.to_vec(),
            reach: Some(Reach {
                tokens_max: vocabulary::CONTEXT.into(),
                sampler: Some(gumbel::NAME),
            }),
            backend: "toy",
        }]
    }

    fn start(&self, job: Job) -> BoxFuture<'_, Result<Answer, Error>> {
        Box::pin(std::future::ready(self.begin(&job)))
    }

    fn score(&self, job: score::Job) -> BoxFuture<'_, Result<score::Answer, Error>> {
        let cheat = self.inner.cheat(&job.job.request_id);
        Box::pin(std::future::ready(self.inner.score(&job, cheat)))
    }

    fn concurrency(&self) -> usize {
        self.inner.options.max_concurrent
    }

    fn health(&self) -> Result<(), String> {
        Ok(())
    }
}

// === impl Inner ===

impl Inner {
    fn engine(&self) -> String {
        match &self.options.build {
            Some(build) => format!("{ENGINE}+{build}"),
            None => ENGINE.to_owned(),
        }
    }

    fn template_sha256(&self) -> String {
        self.model.template.as_ref().map_or("", |template| template.sha256()).to_owned()
    }

    /// Whether it cheats on this request, and how.
    fn cheat(&self, request_id: &str) -> Option<Cheat> {
        let hash = blake3::hash(request_id.as_bytes());
        let number = hash.as_bytes().first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let is_drawn = f64::from(number) < self.options.cheat_share * f64::from(u32::MAX);
        self.options.cheat.filter(|_| is_drawn || self.options.cheat_share >= 1.0)
    }

    /// The row of the next token.
    fn row(&self, context: &Context, cheat: Option<Cheat>) -> Vec<f32> {
        match cheat.is_some_and(Cheat::is_cheap) {
            true => self.cheap.row(context),
            false => self.sold.row(context),
        }
    }

    fn provenance(&self, prepared: &Prepared, seed: u64) -> Provenance {
        Provenance {
            weights_id: weights_id(&self.options.weights),
            quant: self.options.quant.name().to_owned(),
            kv_dtype: PRECISION.to_owned(),
            engine: self.engine(),
            template_sha256: self.template_sha256(),
            sampler: gumbel::NAME.to_owned(),
            seed,
            prompt_ids_sha256: prepared.ids_sha256(),
            resumed: 0,
            usage: Usage::default(),
            commit: None,
            sig: None,
        }
    }
}

#[cfg(test)]
mod tests;
