//! Where the parts of a request put down what they know of its answer, each when it knows it. Bounded.

use openapi::evidence::Provenance;
use openapi::receipt::{Attempt, Origin, Outcome, Provider, Tokens};
use openapi::usage::Usage;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::draft::{Amendment, Known};

/// No request makes more.
const ATTEMPTS_MAX: usize = 32;
const WON: &str = "won";
const LOST: &str = "lost";
/// The end of an attempt that another one went on from.
const BROKE: &str = "broke";

/// Of one request.
#[derive(Debug, Default)]
pub struct Sheet {
    known: Mutex<Known>,
    /// The answer is over: nothing more is put down.
    is_taken: AtomicBool,
}

// === impl Sheet ===

impl Sheet {
    /// For what has no method of its own.
    pub fn with(&self, note: impl FnOnce(&mut Known)) {
        note(&mut self.known());
    }

    /// A provider is asked. `goes_on`: where another one's answer broke off.
    pub fn asked(&self, provider: Provider, why: &str, goes_on: bool) {
        let mut known = self.known();
        if goes_on {
            let before = known.provider.as_ref().map(|before| before.id.clone());
            known.end(before.as_deref(), BROKE);
        }
        if known.attempts.len() < ATTEMPTS_MAX {
            let attempt = Attempt {
                provider: provider.id.clone(),
                why: why.to_owned(),
                ended: String::new(),
            };
            known.attempts.push(attempt);
        }
        known.provider = Some(provider);
    }

    /// A provider failed.
    pub fn failed(&self, provider: &str, how: &str) {
        self.known().end(Some(provider), how);
    }

    /// Whose answer it is.
    pub fn won(&self, provider: Provider) {
        self.known().provider = Some(provider);
    }

    /// An answer is given once more.
    pub fn repeated(&self, provider: Option<&str>) {
        let mut known = self.known();
        known.is_cached = true;
        known.provider = provider.map(|id| Provider { id: id.to_owned(), ..Provider::default() });
    }

    /// What the answer itself says.
    pub fn told(
        &self,
        answer_id: Option<&str>,
        provenance: Option<&Provenance>,
        usage: Option<Usage>,
    ) {
        let mut known = self.known();
        known.answer_id = answer_id.map(str::to_owned);
        known.provenance = provenance.map(Origin::from);
        known.usage = usage.map(|usage| Tokens {
            prompt: usage.prompt_tokens,
            completion: usage.completion_tokens,
        });
    }

    /// The request is over.
    pub fn ended(&self, model: &str, outcome: Outcome) {
        let mut known = self.known();
        known.model = model.to_owned();
        known.outcome = outcome;
        let winner = known.provider.as_ref().map(|winner| winner.id.clone());
        let how = if outcome == Outcome::Complete { WON } else { BROKE };
        known.end(winner.as_deref(), how);
        for attempt in known.attempts.iter_mut().filter(|attempt| attempt.ended.is_empty()) {
            LOST.clone_into(&mut attempt.ended);
        }
    }

    /// All that was put down.
    pub fn take(&self) -> Known {
        let mut known = self.known();
        self.is_taken.store(true, Relaxed);
        std::mem::take(&mut *known)
    }

    /// What others found out about the answer. Given back where the receipt is being written already, to be
    /// put behind it.
    pub fn found(&self, amendment: Amendment) -> Option<Amendment> {
        let mut known = self.known();
        if self.is_taken.load(Relaxed) {
            return Some(amendment);
        }
        let Amendment { verified, verification, price_nanousd, audits } = amendment;
        known.verified = verified.unwrap_or(known.verified);
        verification.into_iter().for_each(|told| known.verification = told);
        known.price_nanousd = price_nanousd.or(known.price_nanousd);
        known.audits.extend(audits);
        None
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The last attempt there that goes on is over.
    fn end(&mut self, provider: Option<&str>, how: &str) {
        let mut open = self.attempts.iter_mut().rev().filter(|attempt| attempt.ended.is_empty());
        if let Some(attempt) = open.find(|attempt| Some(attempt.provider.as_str()) == provider) {
            how.clone_into(&mut attempt.ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(id: &str) -> Provider {
        Provider { id: id.to_owned(), ..Provider::default() }
    }

    fn ends(sheet: &Sheet) -> Vec<String> {
        sheet.take().attempts.into_iter().map(|attempt| attempt.ended).collect()
    }

    #[test]
    fn each_attempt_ends_as_it_did() {
        let sheet = Sheet::default();
        sheet.asked(provider("a"), "first", false);
        sheet.failed("a", "timeout");
        sheet.asked(provider("b"), "retry", false);
        sheet.asked(provider("c"), "hedge", false);
        sheet.won(provider("b"));
        sheet.ended("m", Outcome::Complete);
        assert_eq!(ends(&sheet), ["timeout", "won", "lost"]);
    }

    #[test]
    fn one_that_was_gone_on_from_did_not_lose() {
        let sheet = Sheet::default();
        sheet.asked(provider("a"), "first", false);
        sheet.asked(provider("b"), "resume", true);
        sheet.ended("m", Outcome::Complete);
        assert_eq!(ends(&sheet), ["broke", "won"]);
        sheet.asked(provider("a"), "first", false);
        sheet.ended("m", Outcome::Truncated);
        assert_eq!(ends(&sheet), ["broke"]);
    }
}
