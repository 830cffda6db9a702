//! Who can go on with an answer, and how it is told.

use openapi::node::{Feature, Served};
use openapi::resume::Resume;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;

use super::{Continuation, Turns, goes_on};
use crate::market::{Model, Offer};
use crate::route::choice::{Chosen, UTILISATION_MAX};
use crate::stream::{Progress, Said, Seam};
use crate::upstream::attempt::Context;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::patience::Patience;
use crate::upstream::request::Job;
use crate::upstream::slate::Slate;
use crate::upstream::tally::Tally;

/// Whom to ask next, and how.
pub(in crate::upstream) struct Next {
    pub(in crate::upstream) offer: Arc<Offer>,
    pub(in crate::upstream) tally: Tally,
    pub(in crate::upstream) continuation: Continuation,
    pub(in crate::upstream) seam: Seam,
    /// Until another one is asked in its place.
    pub(in crate::upstream) patience: Duration,
}

/// An answer that somebody is to go on with.
pub(in crate::upstream) struct Search<'a> {
    pub(in crate::upstream) context: &'a Context,
    pub(in crate::upstream) job: &'a Job,
    pub(in crate::upstream) model: &'a Arc<Model>,
    /// Who made what there is.
    pub(in crate::upstream) maker: &'a Arc<Endpoint>,
    pub(in crate::upstream) progress: &'a Progress,
    /// Its text, where that can be gone on with.
    pub(in crate::upstream) said: Option<&'a Said>,
}

// === impl Search ===

impl Search<'_> {
    /// `None`: nobody can go on, or enough were asked.
    pub(in crate::upstream) fn next(&self, turns: &mut Turns) -> Option<Next> {
        // An answer that has ended lacks nothing that another could add.
        if !turns.is_left() || self.progress.finished {
            return None;
        }
        let begin = |slate: &Slate<'_>, chosen: &Chosen, offer: &Arc<Offer>| {
            let (job, model) = (self.job, self.model);
            let tally = Tally::begin(self.context, job, (model, offer), slate, &chosen.facts);
            (offer.clone(), tally)
        };
        let ((offer, tally), continuation, seam) = self.choose(turns, begin)?;
        turns.take(&offer.endpoint);
        if let Some(member) = offer.member() {
            member.asked();
        }
        let tally = tally.going_on(continuation.tokens());
        let patience = self.patience(turns, &tally);
        Some(Next { offer, tally, continuation, seam, patience })
    }

    /// Until the next is asked in its place. Where there is none, it has all the time.
    fn patience(&self, turns: &Turns, tally: &Tally) -> Duration {
        if !turns.is_left() || self.choose(turns, |_, _, _| ()).is_none() {
            return Duration::MAX;
        }
        let (hedges, hedging) = (&self.model.shared.hedges, &self.context.hedging);
        Patience::new(hedges, hedging, &self.context.limits, tally.dispatch()).given_up
    }

    /// Chooses among those who can go on, of whom nobody is asked yet.
    fn choose<T>(
        &self,
        turns: &Turns,
        take: impl Fn(&Slate<'_>, &Chosen, &Arc<Offer>) -> T,
    ) -> Option<(T, Continuation, Seam)> {
        let Self { context, job, model, .. } = self;
        let wanted = job.wanted.iter().find(|wanted| wanted.model.id == model.id)?;
        let slate = Slate::new(context, wanted, job).ok()?;
        if slate.attempts_max < 2 {
            return None;
        }
        let had = turns.had.iter().chain([self.maker]);
        let is_had = |offer: &Offer| had.clone().any(|had| Arc::ptr_eq(had, &offer.endpoint));
        let tried: SmallVec<[usize; 4]> =
            (0..).zip(&model.offers).filter(|(_, o)| is_had(o)).map(|(place, _)| place).collect();
        let of = |slate: &Slate<'_>, may: &dyn Fn(&Offer) -> bool| {
            let at = |utilisation_max| slate.pick(context, &tried, utilisation_max, may).best;
            // Who waits in mid-answer goes before those who have nothing yet.
            let chosen = at(UTILISATION_MAX).or_else(|| at(f64::INFINITY))?;
            Some(take(slate, &chosen, model.offers.get(chosen.place)?))
        };
        let pick = |may: &dyn Fn(&Offer) -> bool| {
            let rare = || Some(Slate::new(context, wanted, job).ok()?.only(may));
            of(&slate, may).or_else(|| of(&rare()?, may))
        };
        if let Some((first, resume)) = self.exact()
            && let Some(taken) = pick(&|offer| is_kin(first, offer))
        {
            return Some((taken, Continuation::Resume(resume), Seam::Exact));
        }
        let (continuation, seam) = self.prefill()?;
        let taken = pick(&|offer| offer.endpoint.continues)?;
        Some((taken, continuation, seam))
    }

    /// What the node made that was asked last, and its tokens, where all of them are known.
    fn exact(&self) -> Option<(&Served, Resume)> {
        if self.job.summary.choices != 1 {
            return None;
        }
        let mut offers = self.model.offers.iter();
        let first = offers.find(|offer| Arc::ptr_eq(&offer.endpoint, self.maker))?;
        // One node with several offers under one name: nobody knows which of them it was.
        if !goes_on(first) || offers.any(|offer| Arc::ptr_eq(&offer.endpoint, self.maker)) {
            return None;
        }
        let progress = self.progress;
        let ids = progress.ids.first().filter(|ids| !ids.is_empty())?.clone();
        let resume = Resume { ids, text_bytes: progress.text_bytes, prompt_ids_sha256: None };
        Some((first.served()?, resume))
    }

    fn prefill(&self) -> Option<(Continuation, Seam)> {
        let said = self.said?;
        let text = said.text()?;
        let kept = text.trim_end();
        if kept.is_empty() {
            return None;
        }
        let progress = self.progress;
        let ids = progress.ids.first().map_or(0, Vec::len) as u64;
        let told = progress.usage.map_or(0, |usage| usage.completion_tokens);
        // No token has less than a byte.
        let tokens = ids.max(told).max(said.events()).min(progress.text_bytes);
        let blank = text.get(kept.len()..).unwrap_or_default().to_owned();
        let continuation = Continuation::Prefill { text: kept.to_owned(), tokens };
        Some((continuation, Seam::Prefill { tokens, blank }))
    }
}

/// Whether it would have made the very same answer.
fn is_kin(first: &Served, offer: &Offer) -> bool {
    offer.served().is_some_and(|other| {
        other.features.contains(&Feature::Resume)
            && first.weights_id.is_some()
            && other.weights_id == first.weights_id
            && other.template_sha256 == first.template_sha256
            && other.quantization == first.quantization
    })
}
