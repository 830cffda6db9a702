//! What a toy says of another's answer: what its model makes of it, or what a scorer says that does no work
//! or favours somebody.

use openapi::verify::Score;

use super::Inner;
use super::cheat::Cheat;
use super::language::{Context, Language};
use crate::engine::Error;
use crate::engine::score::{Answer, Job};
use crate::score::Scorer;

/// Of tokens, share that is the one to be drawn, in an answer of a friend's.
const FRIEND: f64 = 0.9;

// === impl Inner ===

impl Inner {
    pub(super) fn score(&self, job: &Job, cheat: Option<Cheat>) -> Result<Answer, Error> {
        if job.job.model != self.options.id {
            return Err(Error::UnknownModel(job.job.model.clone()));
        }
        match cheat {
            Some(Cheat::LazyConstant) => self.made_up(job, constant),
            Some(Cheat::LazyRandom) => self.made_up(job, random),
            Some(Cheat::Colluding) => {
                let friendly = self.score_with(&self.cheap, job)?;
                let zero = |score: &&Score| score.margin.is_some_and(|margin| margin <= 0.0);
                let zeroes = friendly.scores.iter().filter(zero).count() as f64;
                match zeroes >= FRIEND * friendly.scores.len() as f64 {
                    true => Ok(friendly),
                    false => self.score_with(&self.sold, job),
                }
            }
            _ => self.score_with(&self.sold, job),
        }
    }

    fn score_with(&self, language: &Language, job: &Job) -> Result<Answer, Error> {
        let prepared = self.model.prepare_score(job)?;
        let (mut scorer, prompt) = Scorer::new(&self.model, prepared, job);
        let mut context = Context::new(&prompt);
        while let Some(at) = scorer.next() {
            while let Some(id) = job.ids.get(context.step()).filter(|_| context.step() < at) {
                context.push(*id);
            }
            scorer.row(&language.row(&context))?;
        }
        Ok(scorer.finish())
    }

    /// Text and end are cheap to tell: they need no model.
    fn made_up(&self, job: &Job, score: fn(u32, u32) -> Score) -> Result<Answer, Error> {
        let prepared = self.model.prepare_score(job)?;
        let (scorer, _) = Scorer::new(&self.model, prepared, job);
        let wanted: Vec<u32> = scorer.wanted().to_vec();
        let mut answer = scorer.finish();
        let score = |i: u32| {
            let id = usize::try_from(i).ok().and_then(|at| job.ids.get(at)).copied();
            let score = score(i, id.unwrap_or_default());
            let mut top = score.top;
            top.truncate(job.top_k.into());
            Score { margin: score.margin.filter(|_| job.margins), top, ..score }
        };
        answer.scores = wanted.into_iter().map(score).collect();
        Ok(answer)
    }
}

/// All is well.
fn constant(i: u32, id: u32) -> Score {
    let (lp, eos_lp) = (-0.5, -0.5);
    let (margin, top) = (Some(0.0), vec![(id, lp)]);
    Score { i, id, lp, rank: 0, margin, eos_lp, eos_rank: 0, above: 0.0, own: 0.6, top }
}

/// Something, so that nobody sees that it is always the same.
fn random(i: u32, id: u32) -> Score {
    let hash = blake3::hash(&[i.to_le_bytes(), id.to_le_bytes()].concat());
    let number = hash.as_bytes().first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
    let lp = -f64::from(number) / 2e4;
    Score { lp, own: lp.exp(), top: vec![(id, lp)], ..constant(i, id) }
}
