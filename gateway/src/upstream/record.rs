//! What is known of one client request when it is over: one log line and one set of metrics, exactly
//! once, whoever ends it. Never a prompt, never a key.

use openapi::receipt;
use openapi::usage::Usage;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

use super::endpoint;
use super::error::Error;
use super::explain::{Why, word};
use super::tally;
use super::witness::Answered;
use crate::limit::{Reservation, Spent};
use crate::market::Member;
use crate::metrics::{Endpoint, Label as _, Metrics, Outcome};
use crate::receipts::Sheet;
use crate::stream::Progress;

/// Nobody reads it; the log's and the metric's word for a client that left.
const CLIENT_GONE: u16 = 499;

/// Finished by its drop.
#[derive(Debug)]
pub struct Record {
    metrics: Arc<Metrics>,
    request_id: Arc<str>,
    endpoint: Endpoint,
    key_name: Arc<str>,
    model: Arc<str>,
    is_stream: bool,
    begun: Instant,
    first_content: Option<Instant>,
    provider: Option<Arc<str>>,
    attempts: u32,
    is_hedged: bool,
    usage: Option<Usage>,
    /// Of text that came from a provider.
    text_bytes: u64,
    /// Settled by the drop.
    reservation: Option<Reservation>,
    /// Answers that are made beside each other, of which one is the request's.
    parts: Option<Arc<Parts>>,
    /// It is one of these: its end is not the request's.
    is_part: bool,
    /// For the receipt.
    sheet: Option<Arc<Sheet>>,
    /// What the client saw.
    status: u16,
    outcome: Outcome,
    error: Option<String>,
}

/// What the parts of one request come to.
#[derive(Debug, Default)]
struct Parts {
    attempts: AtomicU32,
    spent: Mutex<Vec<Spent>>,
}

/// Who asks for what.
#[derive(Debug, Clone)]
pub struct Who {
    pub request_id: Arc<str>,
    /// What the client called.
    pub endpoint: Endpoint,
    pub key_name: Arc<str>,
    pub model: Arc<str>,
    pub is_stream: bool,
    /// When the request's head was read.
    pub begun: Instant,
}

impl Record {
    pub fn new(metrics: Arc<Metrics>, who: Who) -> Self {
        Self {
            metrics,
            request_id: who.request_id,
            endpoint: who.endpoint,
            key_name: who.key_name,
            model: who.model,
            is_stream: who.is_stream,
            begun: who.begun,
            first_content: None,
            provider: None,
            attempts: 0,
            is_hedged: false,
            usage: None,
            text_bytes: 0,
            reservation: None,
            parts: None,
            is_part: false,
            sheet: None,
            // Until something else is known: the client left.
            status: CLIENT_GONE,
            outcome: Outcome::ClientGone,
            error: None,
        }
    }

    /// With what is set aside of the key's limits.
    #[must_use]
    pub fn holding(mut self, reservation: Reservation) -> Self {
        self.reservation = Some(reservation);
        self
    }

    /// Puts down what a receipt is to say.
    pub fn telling(&mut self, sheet: Option<&Arc<Sheet>>) {
        self.sheet = sheet.cloned();
    }

    pub fn attempts(&self) -> u32 {
        let parts = self.parts.as_ref().filter(|_| !self.is_part);
        parts.map_or(self.attempts, |parts| parts.attempts.load(Relaxed))
    }

    /// Of one answer of several to the same request: what it spends and tries is the request's.
    pub(super) fn part(&mut self) -> Self {
        let parts = self.parts.get_or_insert_default().clone();
        let who = Who {
            request_id: self.request_id.clone(),
            endpoint: self.endpoint,
            key_name: self.key_name.clone(),
            model: self.model.clone(),
            is_stream: self.is_stream,
            begun: self.begun,
        };
        let mut part = Self::new(self.metrics.clone(), who);
        (part.parts, part.is_part, part.sheet) = (Some(parts), true, self.sheet.clone());
        part
    }

    /// Whether two providers were asked at once.
    pub fn is_hedged(&self) -> bool {
        self.is_hedged
    }

    pub(super) fn attempt(
        &mut self,
        (endpoint, member): (&endpoint::Endpoint, Option<&Arc<Member>>),
        model: &Arc<str>,
        why: Why,
    ) {
        if let Some(sheet) = &self.sheet {
            sheet.asked(provider(endpoint, member), word(why), why == Why::Resume);
        }
        self.model.clone_from(model);
        self.attempts += 1;
        if let Some(parts) = &self.parts {
            parts.attempts.fetch_add(1, Relaxed);
        }
        self.provider = Some(endpoint.id.clone());
        match why {
            Why::Hedge | Why::Probe => self.is_hedged |= self.attempts > 1,
            Why::First | Why::Retry | Why::Resume if self.attempts > 1 => {
                self.metrics.failovers.inc();
            }
            Why::First | Why::Retry | Why::Resume => {}
        }
    }

    /// Whose answer it is of several.
    pub(super) fn is_answered_by(
        &mut self,
        name: &str,
        model: &Arc<str>,
        answered: Option<&Answered>,
    ) {
        let offer = answered.and_then(|answered| Some((answered, answered.offer.as_ref()?)));
        if let (Some(sheet), Some((answered, offer))) = (&self.sheet, offer) {
            sheet.won(provider(&offer.endpoint, Some(&answered.member)));
        }
        self.model.clone_from(model);
        self.provider = Some(name.into());
    }

    /// The client has the whole of an answer whose provider has nothing more to say of it.
    pub(super) fn told_whole(&mut self) {
        self.outcome = Outcome::Ok;
        self.status = 200;
    }

    /// Whose answer it is.
    pub(super) fn won(&mut self, endpoint: &endpoint::Endpoint, member: Option<&Arc<Member>>) {
        if let Some(sheet) = &self.sheet {
            sheet.won(provider(endpoint, member));
        }
        self.provider = Some(endpoint.id.clone());
    }

    pub(super) fn failed_attempt(&self, endpoint: &endpoint::Endpoint, error: &Error) {
        if let Some(sheet) = &self.sheet {
            let how = match self.first_content {
                Some(_) => "broke",
                None => tally::outcome(error).as_str(),
            };
            sheet.failed(&endpoint.id, how);
        }
        tracing::info!(
            request_id = &*self.request_id,
            provider = &*endpoint.id,
            attempt = self.attempts,
            error = %error,
            "attempt failed"
        );
    }

    pub(super) fn content(&mut self) {
        self.first_content = Some(Instant::now());
    }

    pub(super) fn completed(&mut self, progress: &Progress) {
        self.outcome = Outcome::Ok;
        self.status = 200;
        self.count(progress);
    }

    /// Answered without asking any provider: once more, `provider`'s answer.
    pub fn answered_here(&mut self, provider: Option<&str>) {
        if let Some(sheet) = &self.sheet {
            sheet.repeated(provider);
        }
        self.outcome = Outcome::Ok;
        self.status = 200;
    }

    /// The provider's stream broke after content had reached the client.
    pub(super) fn broke(&mut self, progress: &Progress, error: &Error) {
        self.count(progress);
        self.failed(200, Outcome::Truncated, error);
    }

    /// How far a stream has come, in case nobody can say it later.
    pub(super) fn came(&mut self, text_bytes: u64) {
        self.text_bytes = text_bytes;
    }

    /// A provider's word where there is one. Who leaves in the middle pays for what was made; a
    /// failure before any text costs nothing.
    fn spent(&self) -> Spent {
        match (self.usage, self.outcome) {
            (Some(usage), _) => {
                Spent::Tokens(usage.prompt_tokens.saturating_add(usage.completion_tokens))
            }
            (None, _) if self.text_bytes > 0 => Spent::Text { bytes: self.text_bytes },
            (None, Outcome::Ok) if self.attempts > 0 => Spent::Prompt,
            (None, Outcome::ClientGone) if self.attempts > 0 => Spent::Prompt,
            (None, _) => Spent::Nothing,
        }
    }

    fn count(&mut self, progress: &Progress) {
        if let Some(sheet) = &self.sheet {
            let id = progress.identity.as_ref().map(|identity| &*identity.id);
            sheet.told(id, progress.provenance.as_ref(), progress.usage);
        }
        self.usage = progress.usage;
        self.text_bytes = progress.text_bytes;
        self.metrics.malformed_events.inc_by(u64::from(progress.malformed));
    }

    /// The request ended in an error that the client was told, with this status.
    pub fn failed(&mut self, status: u16, outcome: Outcome, error: &dyn std::fmt::Display) {
        self.status = status;
        self.outcome = outcome;
        self.error = Some(error.to_string());
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let spent = self.spent();
        if self.is_part {
            if let Some(parts) = &self.parts {
                parts.spent.lock().unwrap_or_else(PoisonError::into_inner).push(spent);
            }
            return;
        }
        if let Some(sheet) = &self.sheet {
            sheet.ended(&self.model, told(self.outcome));
        }
        let total = self.begun.elapsed();
        let first = self.first_content.map(|at| at.duration_since(self.begun));
        self.metrics.count_request(self.endpoint, self.status, self.outcome);
        self.metrics.observe_completion(total);
        if let Some(first) = first {
            self.metrics.observe_ttft(first);
        }
        if let Some(reservation) = self.reservation.take() {
            match &self.parts {
                None => reservation.settle(spent),
                Some(parts) => {
                    let all = parts.spent.lock().unwrap_or_else(PoisonError::into_inner);
                    reservation.settle_all(&all);
                }
            }
        }
        let usage = self.usage.unwrap_or_default();
        if self.usage.is_some() {
            self.metrics.observe_usage(&usage, total.saturating_sub(first.unwrap_or_default()));
        }
        tracing::info!(
            request_id = &*self.request_id,
            endpoint = self.endpoint.as_str(),
            key = &*self.key_name,
            model = &*self.model,
            provider = self.provider.as_deref().unwrap_or_default(),
            stream = self.is_stream,
            attempts = self.attempts(),
            status = self.status,
            outcome = self.outcome.as_str(),
            error = self.error.as_deref().unwrap_or_default(),
            prompt_tokens = usage.prompt_tokens,
            completion_tokens = usage.completion_tokens,
            first_content_ms = first.map_or(-1.0, |d| d.as_secs_f64() * 1e3),
            total_ms = total.as_secs_f64() * 1e3,
            "request"
        );
    }
}

/// Who was asked, for the receipt.
fn provider(endpoint: &endpoint::Endpoint, member: Option<&Arc<Member>>) -> receipt::Provider {
    receipt::Provider {
        id: endpoint.id.to_string(),
        operator: endpoint.operator.to_string(),
        node_key: member.map(|member| member.node),
        operator_key: member.map(|member| member.operator_key),
    }
}

fn told(outcome: Outcome) -> receipt::Outcome {
    match outcome {
        Outcome::Ok => receipt::Outcome::Complete,
        Outcome::Truncated => receipt::Outcome::Truncated,
        Outcome::ClientGone => receipt::Outcome::ClientGone,
        _ => receipt::Outcome::Failed,
    }
}
