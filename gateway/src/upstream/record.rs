//! What is known of one client request when it is over: one log line and one set of metrics, exactly
//! once, whoever ends it. Never a prompt, never a key.

use std::sync::Arc;
use tokio::time::Instant;

use super::endpoint::Endpoint;
use super::error::Error;
use crate::metrics::{Metrics, Outcome};
use crate::stream::Progress;

/// Finished by its drop.
#[derive(Debug)]
pub struct Record {
    metrics: Arc<Metrics>,
    request_id: Arc<str>,
    key_name: Arc<str>,
    model: Arc<str>,
    is_stream: bool,
    begun: Instant,
    first_content: Option<Instant>,
    provider: Option<Arc<str>>,
    attempts: u32,
    prompt_tokens: u64,
    completion_tokens: u64,
    outcome: Outcome,
    error: Option<String>,
}

/// Who asks for what.
#[derive(Debug, Clone)]
pub struct Who {
    pub request_id: Arc<str>,
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
            key_name: who.key_name,
            model: who.model,
            is_stream: who.is_stream,
            begun: who.begun,
            first_content: None,
            provider: None,
            attempts: 0,
            prompt_tokens: 0,
            completion_tokens: 0,
            // Until something else is known: the client left.
            outcome: Outcome::Cancelled,
            error: None,
        }
    }

    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(super) fn attempt(&mut self, endpoint: &Endpoint) {
        self.attempts += 1;
        self.provider = Some(endpoint.id.clone());
        if self.attempts > 1 {
            self.metrics.failover();
        }
    }

    pub(super) fn failed_attempt(&self, endpoint: &Endpoint, error: &Error) {
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
        self.count(progress);
    }

    pub(super) fn count(&mut self, progress: &Progress) {
        if let Some(usage) = &progress.usage {
            self.prompt_tokens = usage.prompt_tokens;
            self.completion_tokens = usage.completion_tokens;
        }
        self.metrics.malformed(progress.malformed);
    }

    /// The request ended in an error that the client was told.
    pub fn failed(&mut self, outcome: Outcome, error: &dyn std::fmt::Display) {
        self.outcome = outcome;
        self.error = Some(error.to_string());
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let total = self.begun.elapsed();
        let first = self.first_content.map(|at| at.duration_since(self.begun));
        self.metrics.request(self.is_stream, self.outcome, total, first);
        self.metrics.tokens(self.prompt_tokens, self.completion_tokens);
        tracing::info!(
            request_id = &*self.request_id,
            key = &*self.key_name,
            model = &*self.model,
            provider = self.provider.as_deref().unwrap_or_default(),
            stream = self.is_stream,
            attempts = self.attempts,
            outcome = self.outcome.as_str(),
            error = self.error.as_deref().unwrap_or_default(),
            prompt_tokens = self.prompt_tokens,
            completion_tokens = self.completion_tokens,
            first_content_ms = first.map(|d| d.as_millis()),
            total_ms = total.as_millis(),
            "request"
        );
    }
}
