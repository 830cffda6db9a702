//! How a request's provider was chosen, put down while it happens, for who asked for it. Bounded; no
//! prompt, and of providers what their cards say anyway.

use openapi::explain::{Attempt, Candidate, Cost, Explain as Told};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

use crate::market::Offer;
use crate::route::choice::{Look, Terms, Unfit};
use crate::route::{self};

const CANDIDATES_MAX: usize = 32;
const ATTEMPTS_MAX: usize = 32;

/// Of one request. Its parts may tell at the same time.
#[derive(Debug)]
pub struct Explain {
    began: Instant,
    told: Mutex<Told>,
}

/// Why an attempt is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    First,
    Retry,
    Hedge,
    Probe,
    Resume,
}

// === impl Explain ===

impl Default for Explain {
    fn default() -> Self {
        Self { began: Instant::now(), told: Mutex::default() }
    }
}

impl Explain {
    /// One that was looked at.
    pub(super) fn candidate(
        &self,
        offer: &Offer,
        look: &Look,
        cost: &route::Cost,
        unfit: Option<Unfit>,
        terms: &Terms,
    ) {
        let mut told = self.told();
        if told.candidates.len() >= CANDIDATES_MAX {
            return;
        }
        let facts = &look.facts;
        told.candidates.push(Candidate {
            provider: offer.endpoint.id.to_string(),
            operator: offer.endpoint.operator.to_string(),
            model: offer.upstream_model.to_string(),
            cost_usd: Cost {
                total: cost.total(),
                money: cost.money,
                first_token: cost.first_token,
                decode: cost.decode,
                failure: cost.failure,
                dishonesty: cost.dishonesty,
            },
            first_token_s: facts.first_token_s(&terms.ask) * facts.congestion(),
            tokens_per_second: facts.tokens_per_s,
            utilization: facts.utilisation(),
            failure: facts.failure,
            rank: look.rank,
            out: unfit.map(|unfit| reason(unfit).to_owned()),
        });
    }

    /// An attempt begins; its number, for what becomes of it.
    pub fn began(&self, offer: &Offer, why: Why) -> usize {
        let began_ms = self.ms();
        let mut told = self.told();
        let number = told.attempts.len();
        if number < ATTEMPTS_MAX {
            told.attempts.push(Attempt {
                provider: offer.endpoint.id.to_string(),
                model: offer.upstream_model.to_string(),
                why: word(why).to_owned(),
                began_ms,
                ..Attempt::default()
            });
        }
        number
    }

    /// Its first token came.
    pub fn first_token(&self, number: usize) {
        let ms = self.ms();
        if let Some(attempt) = self.told().attempts.get_mut(number) {
            attempt.first_token_ms = Some(ms);
        }
    }

    /// `outcome`: `won`, `lost`, or what failed. The first word counts.
    pub fn ended(&self, number: usize, outcome: &str) {
        let ms = self.ms();
        if let Some(attempt) = self.told().attempts.get_mut(number)
            && attempt.outcome.is_none()
        {
            (attempt.ended_ms, attempt.outcome) = (Some(ms), Some(outcome.to_owned()));
        }
    }

    pub fn so_far(&self) -> Told {
        self.told().clone()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn reason(unfit: Unfit) -> &'static str {
    match unfit {
        Unfit::Ejected => "ejected",
        Unfit::Paused => "paused",
        Unfit::Loaded => "loaded",
        Unfit::Quarantined => "quarantined",
    }
}

pub(super) fn word(why: Why) -> &'static str {
    match why {
        Why::First => "first",
        Why::Retry => "retry",
        Why::Hedge => "hedge",
        Why::Probe => "probe",
        Why::Resume => "resume",
    }
}
