//! What another node wrote, as this model sees it: rows of raw logits in, one for each token to be
//! scored, and a score of each out. The tokens are taken as if they had been drawn here, through the
//! same [`Sequence`] that answers are written with. It runs no model and never hears what the writer
//! claims.

use openapi::gumbel;
use openapi::verify::{MARGIN_MAX, Score, TextHash};

use crate::decode::sequence::Sequence;
use crate::engine::score::{Answer, Job};
use crate::engine::{Delta, Error};
use crate::model::{Model, Prepared};
use crate::sampler::Distribution;
use openapi::chat::FinishReason;

/// Logarithms below are told as this: JSON has no infinity.
const LP_MIN: f64 = -1e6;

/// One answer being scored. Give it the row that predicts token [`next`](Self::next), until there is
/// none, then [`finish`](Self::finish).
#[derive(Debug)]
pub struct Scorer {
    sequence: Sequence,
    state: State,
    prompt_ids_sha256: String,
    ids: Vec<u32>,
    /// How many of them were taken.
    taken: usize,
    /// Indices to score, those to come.
    wanted: std::vec::IntoIter<u32>,
    top_k: usize,
    margins: bool,
    temperature: f64,
    text: TextHash,
    scores: Vec<Score>,
}

/// What a server tells of one token, instead of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    pub lp: f64,
    pub rank: u32,
    pub eos_lp: f64,
    pub eos_rank: u32,
    /// The likeliest in order, at T = 1.
    pub top: Vec<(u32, f64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    GoingOn,
    Ended(FinishReason),
    /// A token that the grammar does not allow, or one behind the end: no answer has it.
    Broken,
}

// === impl Scorer ===

impl Scorer {
    /// `prepared` by [`Model::prepare_score`] of the same job. Also the prompt's ids.
    pub fn new(model: &Model, prepared: Prepared, job: &Job) -> (Self, Vec<u32>) {
        let prompt_ids_sha256 = prepared.ids_sha256();
        let (sequence, prompt) = Sequence::new(model, prepared, job.job.sampling.clone(), None);
        let all = || (0u32..).zip(&job.ids).map(|(at, _)| at).collect();
        let wanted: Vec<u32> = job.positions.clone().unwrap_or_else(all);
        let scorer = Self {
            sequence,
            state: State::GoingOn,
            prompt_ids_sha256,
            ids: job.ids.clone(),
            taken: 0,
            scores: Vec::with_capacity(wanted.len()),
            wanted: wanted.into_iter(),
            top_k: usize::from(job.top_k),
            margins: job.margins,
            temperature: job.job.sampling.temperature,
            text: TextHash::default(),
        };
        (scorer, prompt)
    }

    /// The index of the token whose row is wanted next.
    pub fn next(&self) -> Option<usize> {
        let next = self.wanted.as_slice().first()?;
        usize::try_from(*next).ok().filter(|at| *at < self.ids.len())
    }

    /// All indices that are still wanted, ascending.
    pub fn wanted(&self) -> &[u32] {
        self.wanted.as_slice()
    }

    /// Scores token [`next`](Self::next) by the row that predicts it.
    ///
    /// # Errors
    /// The grammar passes its limits.
    pub fn row(&mut self, row: &[f32]) -> Result<(), Error> {
        let Some(at) = self.next() else { return Ok(()) };
        let Some(id) = self.reach(at) else { return Ok(()) };
        let i = self.wanted.next().unwrap_or_default();
        let model = Distribution::new(row);
        let eos = model.best(self.sequence.eos()).unwrap_or_default();
        let (above, own, margin) = match self.state {
            State::GoingOn => {
                let judged = self.sequence.judge(row, id)?;
                (judged.above, judged.own, judged.margin.min(MARGIN_MAX))
            }
            State::Ended(_) | State::Broken => (1.0, 0.0, MARGIN_MAX),
        };
        self.scores.push(Score {
            i,
            id,
            lp: bounded(model.logprob(id)),
            rank: model.rank(id),
            margin: self.margins.then_some(margin),
            eos_lp: bounded(model.logprob(eos)),
            eos_rank: model.rank(eos),
            above,
            own,
            top: model.top(self.top_k).into_iter().map(|(id, lp)| (id, bounded(lp))).collect(),
        });
        Ok(())
    }

    /// Scores token [`next`](Self::next) by what another server knows of it. Its place among the likelier
    /// ones is told as far as the likeliest are known.
    pub fn known(&mut self, known: &Known, top_k: usize) {
        let Some(at) = self.next() else { return };
        let Some(id) = self.reach(at) else { return };
        let i = self.wanted.next().unwrap_or_default();
        let (above, own) = known.place(id, self.temperature);
        let top = known.top.iter().take(top_k).map(|(id, lp)| (*id, bounded(*lp)));
        self.scores.push(Score {
            i,
            id,
            lp: bounded(known.lp),
            rank: known.rank,
            margin: None,
            eos_lp: bounded(known.eos_lp),
            eos_rank: known.eos_rank,
            above,
            own,
            top: top.collect(),
        });
    }

    /// The token at this index, with all before it taken.
    fn reach(&mut self, at: usize) -> Option<u32> {
        while self.taken < at {
            self.take();
        }
        self.ids.get(at).copied()
    }

    /// The tokens behind the last one that was scored count as well: for the text, and for the end.
    pub fn finish(mut self) -> Answer {
        while self.taken < self.ids.len() {
            self.take();
        }
        Answer {
            prompt_ids_sha256: self.prompt_ids_sha256,
            prompt_tokens: self.sequence.prompt_tokens(),
            text_sha256: self.text.finish(),
            finish_reason: match self.state {
                State::Ended(reason) => Some(reason),
                State::GoingOn | State::Broken => None,
            },
            max_tokens: self.sequence.max_tokens(),
            constrained: self.sequence.is_constrained(),
            sampler: self.margins.then_some(gumbel::NAME),
            scores: self.scores,
        }
    }

    fn take(&mut self) {
        let id = self.ids.get(self.taken).copied().unwrap_or_default();
        self.taken += 1;
        if self.state != State::GoingOn {
            self.state = State::Broken;
            return;
        }
        let mut deltas = Vec::new();
        match self.sequence.replay(id, &mut deltas) {
            Ok(None) => {}
            Ok(Some(reason)) => {
                let end = self.sequence.finish(reason, &mut deltas);
                self.state = State::Ended(end.reason);
            }
            Err(_) => self.state = State::Broken,
        }
        deltas.iter().for_each(|delta| self.read(delta));
    }

    fn read(&mut self, delta: &Delta) {
        [&delta.content, &delta.reasoning].into_iter().flatten().for_each(|t| self.text.text(t));
        let call = delta.tool_call.as_ref().and_then(|call| call.function.as_ref());
        if let Some(name) = call.and_then(|call| call.name.as_deref()).filter(|n| !n.is_empty()) {
            self.text.call(name);
        }
        call.and_then(|call| call.arguments.as_ref()).into_iter().for_each(|t| self.text.text(t));
    }
}

// === impl Known ===

impl Known {
    /// Probability of the likelier ones and of `id` itself at this temperature, of those that are known.
    fn place(&self, id: u32, temperature: f64) -> (f64, f64) {
        let Some(at) = self.top.iter().position(|(other, _)| *other == id) else {
            return (1.0, 0.0);
        };
        let best = self.top.first().map_or(0.0, |(_, lp)| *lp);
        let weight = |lp: f64| ((lp - best) / temperature).exp();
        let weights: Vec<f64> = self.top.iter().map(|(_, lp)| weight(*lp)).collect();
        let total: f64 = weights.iter().sum();
        if temperature <= 0.0 || !total.is_finite() {
            return if at == 0 { (0.0, 1.0) } else { (1.0, 0.0) };
        }
        let above: f64 = weights.iter().take(at).sum();
        (above / total, weights.get(at).copied().unwrap_or_default() / total)
    }
}

fn bounded(lp: f64) -> f64 {
    if lp.is_nan() { LP_MIN } else { lp.clamp(LP_MIN, 0.0) }
}

#[cfg(test)]
mod tests;
