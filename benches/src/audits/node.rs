//! A provider in process: the toy engine, and what the server around it does to an answer's evidence. A node
//! writes, and scores what others wrote.

use futures_util::{FutureExt, StreamExt};
use gateway::audit::binding::Promised;
use gateway::audit::{Answer as Audited, Order};
use openapi::chat::FinishReason;
use openapi::commit::{Claim, Commitment, DOMAIN, ids_sha256, logprobs_sha256};
use openapi::evidence::Provenance;
use openapi::gumbel;
use openapi::resume::Resume;
use openapi::sign::{PublicKey, SecretKey};
use openapi::verify::Scored;
use provider::counters::Counters;
use provider::engine::toy::{Options, Toy, weights_id};
use provider::engine::{Answer, Delta, Engine, Event, Job, score};
use sha2::{Digest, Sha256};
use std::sync::Arc;

use super::Error;

/// Told of each position to the gateway.
const TOP: u8 = 5;

#[derive(Debug)]
pub struct Node {
    pub name: String,
    toy: Toy,
    options: Options,
    key: SecretKey,
    public: PublicKey,
}

/// An answer, as the gateway has it when its last byte is out, and what it asked for.
#[derive(Debug)]
pub struct Case {
    pub job: Job,
    pub nonce: String,
    pub provenance: Option<Provenance>,
    pub ids: Vec<Vec<u32>>,
    /// What the node would reveal.
    pub claims: Vec<Vec<Claim>>,
    pub text_sha256: String,
    pub finish_reason: FinishReason,
    /// Of the weights that the request was for.
    pub weights_id: String,
    pub quant: String,
}

/// What is drawn before the end.
#[derive(Debug, Default)]
struct Drawn {
    ids: Vec<u32>,
    text: String,
}

// === impl Node ===

impl Node {
    /// # Errors
    /// The toy can't be made.
    pub fn new(name: String, options: Options) -> Result<Self, Error> {
        let key = SecretKey::from_seed(blake3::hash(name.as_bytes()).as_bytes());
        let toy = Toy::new(options.clone(), Arc::new(Counters::default()))?;
        Ok(Self { name, toy, options, public: key.public(), key })
    }

    pub fn model(&self) -> &str {
        &self.options.id
    }

    /// Answers. `begun_by`: who broke off after so many tokens before.
    ///
    /// # Errors
    /// It does not answer.
    pub fn write(&self, job: &Job, begun_by: Option<(&Self, usize)>) -> Result<Case, Error> {
        let before = match begun_by {
            Some((other, tokens)) => other.drawn(job, tokens)?,
            None => Drawn::default(),
        };
        let own = match before.ids.is_empty() {
            true => job.clone(),
            false => resumed(job, &before),
        };
        self.whole(&own, before)
    }

    fn whole(&self, job: &Job, before: Drawn) -> Result<Case, Error> {
        let started = self.toy.start(job.clone()).now_or_never().ok_or("the toy waits")??;
        let Answer::Events(mut generation) = started else { return Err("no events".into()) };
        let skipped = before.ids.len() as u64;
        let Drawn { mut ids, mut text } = before;
        while let Some(event) = generation.events.next().now_or_never().ok_or("the toy waits")? {
            match event? {
                Event::Delta(delta) => take(&mut ids, &mut text, &delta),
                Event::Finish { reason, usage, ids: last, claims } => {
                    ids.extend(last);
                    let mut case = Case {
                        job: Job { resume: None, ..job.clone() },
                        nonce: format!("{:032x}", job.sampling.seed),
                        provenance: generation.provenance.take().map(|told| *told),
                        ids: vec![ids],
                        claims: vec![claims],
                        text_sha256: hex::encode(Sha256::digest(text.as_bytes())),
                        finish_reason: reason,
                        weights_id: weights_id(&self.options.weights),
                        quant: self.options.quant.name().to_owned(),
                    };
                    if let Some(provenance) = &mut case.provenance {
                        (provenance.usage, provenance.resumed) = (usage, skipped);
                    }
                    self.commit(&mut case)?;
                    return Ok(case);
                }
                Event::Raw(_) => {}
            }
        }
        Err("an answer without an end".into())
    }

    /// What it writes until it breaks off.
    fn drawn(&self, job: &Job, tokens: usize) -> Result<Drawn, Error> {
        let started = self.toy.start(job.clone()).now_or_never().ok_or("the toy waits")??;
        let Answer::Events(mut generation) = started else { return Err("no events".into()) };
        let Drawn { mut ids, mut text } = Drawn::default();
        while ids.len() < tokens {
            match generation.events.next().now_or_never().ok_or("the toy waits")? {
                Some(Ok(Event::Delta(delta))) => take(&mut ids, &mut text, &delta),
                _ => break,
            }
        }
        Ok(Drawn { ids, text })
    }

    /// As the server does before the end of a stream.
    fn commit(&self, case: &mut Case) -> Result<(), Error> {
        let Some(provenance) = &mut case.provenance else { return Ok(()) };
        let names = (self.model(), &*case.job.request_id, &*case.nonce);
        let hashes = (ids_sha256(&case.ids), logprobs_sha256(&case.claims));
        let digest = Commitment::new(provenance, names, hashes).digest()?;
        provenance.sig = Some(self.key.sign(DOMAIN, digest.as_bytes()));
        provenance.commit = Some(digest);
        Ok(())
    }

    /// What its gateway holds it to.
    pub fn promised<'a>(&'a self, case: &'a Case) -> Promised<'a> {
        Promised {
            key: &self.public,
            weights_id: &case.weights_id,
            quant: Some(&case.quant),
            kv_dtype: None,
            seed: Some(case.job.sampling.seed),
            canonical: true,
            model: self.model(),
            request_id: &case.job.request_id,
            nonce: &case.nonce,
        }
    }

    /// Scores these tokens as an answer to the case's request.
    ///
    /// # Errors
    /// It does not score.
    pub fn score(&self, case: &Case, ids: &[u32]) -> Result<Scored, Error> {
        let job = score::Job {
            job: Job { model: self.model().to_owned(), evidence: false, ..case.job.clone() },
            ids: ids.to_vec(),
            positions: None,
            top_k: TOP,
            margins: true,
        };
        let answer = self.toy.score(job).now_or_never().ok_or("the toy waits")??;
        let model = self.toy.models().into_iter().next().ok_or("no model")?;
        Ok(Scored {
            nonce: case.nonce.clone(),
            weights_id: model.weights_id.unwrap_or_default(),
            quant: model.quant.unwrap_or_default(),
            kv_dtype: model.kv_dtype.unwrap_or_default(),
            engine: model.engine.unwrap_or_default(),
            template_sha256: model.template_sha256.unwrap_or_default(),
            prompt_ids_sha256: answer.prompt_ids_sha256,
            prompt_tokens: answer.prompt_tokens.into(),
            text_sha256: answer.text_sha256,
            finish_reason: answer.finish_reason,
            max_tokens: answer.max_tokens.into(),
            constrained: answer.constrained,
            sampler: answer.sampler.map_or("", |_| gumbel::NAME).to_owned(),
            scores: answer.scores,
        })
    }
}

// === impl Case ===

impl Case {
    /// `None`: without a provenance there is nothing to judge.
    pub fn answer(&self) -> Option<Audited<'_>> {
        Some(Audited {
            provenance: self.provenance.as_ref()?,
            ids: &self.ids,
            claims: &self.claims,
            choice: 0,
            text_sha256: &self.text_sha256,
            finish_reason: self.finish_reason,
            temperature: self.job.sampling.temperature,
        })
    }

    pub fn tokens(&self) -> &[u32] {
        self.ids.first().map(Vec::as_slice).unwrap_or_default()
    }

    pub fn order<'a>(&'a self, ids: &'a [u32]) -> Order<'a> {
        Order { nonce: &self.nonce, weights_id: &self.weights_id, ids, positions: None }
    }
}

fn take(ids: &mut Vec<u32>, text: &mut String, delta: &Delta) {
    ids.extend_from_slice(&delta.ids);
    text.extend(delta.content.as_deref());
}

fn resumed(job: &Job, before: &Drawn) -> Job {
    let resume = Resume {
        ids: before.ids.clone(),
        text_bytes: before.text.len() as u64,
        prompt_ids_sha256: None,
    };
    Job { resume: Some(resume), ..job.clone() }
}
