//! What one key may use: requests and tokens a minute, streams at once, choices of one answer. Plain
//! logic: time comes in as a number, and nothing here knows a server, a store or a key.
//!
//! A request is taken when its head is read. Tokens are reserved before a provider is asked, from an
//! estimate, and settled with what was used, exactly once, when the request is over, whoever ends
//! it. The state lives in the key's own entry: it is bounded by the number of keys and is never
//! evicted, so nothing resets the limit of a busy key.

mod bucket;
mod estimate;
mod reservation;
mod time;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use bucket::{Bucket, Short};

use crate::request::Verification;

pub use bucket::Level;
pub use reservation::{Reservation, Spent};
pub use time::Time;

/// More in a minute than this is no limit worth keeping.
pub const RATE_MAX: u32 = 1_000_000_000;
/// After this a client that found all its streams taken may look again.
const STREAM_RETRY: Duration = Duration::from_secs(1);

/// A default that other requests keep getting in the way of is fitted anew so often.
const FIT_TRIES: u32 = 8;

/// The limits of a key; what is absent is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    pub requests_per_minute: Option<NonZeroU32>,
    /// Prompt and answer together.
    pub tokens_per_minute: Option<NonZeroU32>,
    /// Streamed answers being sent at the same time.
    pub concurrent_streams: Option<NonZeroU32>,
    /// The most a request may ask for as `n`.
    pub choices_max: Option<NonZeroU32>,
    /// The most providers that one request may have asked because others are late.
    pub hedges_max: Option<u32>,
    /// The most providers that one request may have answer it, so that their answers can be compared.
    pub quorum_max: Option<u32>,
    /// For requests that say nothing of it.
    pub verification: Option<Verification>,
}

/// One key's limits and what is used of them.
#[derive(Debug)]
pub struct Account {
    pub rules: Rules,
    requests: Bucket,
    tokens: Bucket,
    streams: AtomicU32,
}

/// What a request is going to need.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// Of the request's JSON but for media: messages, tools and schemas all become prompt.
    pub text_bytes: u64,
    /// Pictures and the like.
    pub media: u64,
    /// The client's own limit for each choice's answer.
    pub answer_tokens: Option<u64>,
    /// Reserved for each choice where the client set no limit.
    pub answer_tokens_default: u64,
    /// Answers.
    pub choices: u32,
    /// Of them, for one prompt.
    pub n: u32,
    /// Providers that are all to answer it.
    pub times: u32,
    pub is_stream: bool,
}

/// Why a request may not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Requests {
        limit: u32,
        retry_after: Duration,
    },
    Tokens {
        limit: u32,
        asked: u64,
        retry_after: Duration,
    },
    /// It asks for more than a whole minute's tokens: waiting does not help.
    TooManyTokens {
        limit: u32,
        asked: u64,
    },
    Streams {
        limit: u32,
        retry_after: Duration,
    },
    Choices {
        limit: u32,
    },
}

/// Of keys that say nothing of it.
const QUORUM_MAX: u32 = 5;

/// What is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    pub requests: Option<Level>,
    pub tokens: Option<Level>,
    pub open_streams: u32,
}

// === impl Rules ===

impl Rules {
    /// These, and `other`'s where these say nothing.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            requests_per_minute: self.requests_per_minute.or(other.requests_per_minute),
            tokens_per_minute: self.tokens_per_minute.or(other.tokens_per_minute),
            concurrent_streams: self.concurrent_streams.or(other.concurrent_streams),
            choices_max: self.choices_max.or(other.choices_max),
            hedges_max: self.hedges_max.or(other.hedges_max),
            quorum_max: self.quorum_max.or(other.quorum_max),
            verification: self.verification.or(other.verification),
        }
    }

    /// The most providers that one request may have answer it.
    pub fn quorum_max(&self) -> u32 {
        self.quorum_max.unwrap_or(QUORUM_MAX)
    }

    /// Whether answers carry rate-limit headers.
    pub fn has_rate(&self) -> bool {
        self.requests_per_minute.is_some() || self.tokens_per_minute.is_some()
    }
}

// === impl Account ===

impl Account {
    pub fn new(rules: Rules) -> Self {
        let (requests, tokens) = (Bucket::default(), Bucket::default());
        Self { rules, requests, tokens, streams: AtomicU32::new(0) }
    }

    /// Counts one request, whatever becomes of it. `now_ns` is [`Time::now_ns`].
    ///
    /// # Errors
    /// The minute's requests are used up.
    pub fn take_request(&self, now_ns: u64) -> Result<(), Refusal> {
        let Some(limit) = self.rules.requests_per_minute else { return Ok(()) };
        match self.requests.take(limit, NonZeroU32::MIN, now_ns) {
            Ok(_) => Ok(()),
            Err(Short::Wait(retry_after)) => {
                Err(Refusal::Requests { limit: limit.get(), retry_after })
            }
            // One request fits into any limit.
            Err(Short::Never) => {
                Err(Refusal::Requests { limit: limit.get(), retry_after: Duration::ZERO })
            }
        }
    }

    /// Sets aside what a request may need. Dropped unsettled, all of it is given back.
    ///
    /// # Errors
    /// It asks for too much, or for more than there is now.
    pub fn reserve(self: &Arc<Self>, ask: &Ask, time: &Arc<Time>) -> Result<Reservation, Refusal> {
        if let Some(limit) = self.rules.choices_max
            && ask.n > limit.get()
        {
            return Err(Refusal::Choices { limit: limit.get() });
        }
        let mut reservation = Reservation::empty(self.clone(), time.clone());
        if ask.is_stream {
            reservation.hold_stream(self.open_stream()?);
        }
        if let Some(limit) = self.rules.tokens_per_minute {
            let prompt = estimate::prompt_tokens(ask.text_bytes, ask.media);
            let (tokens, until_ns) = self.take_tokens(limit, prompt, ask, time.now_ns())?;
            reservation.hold_tokens(prompt, tokens, until_ns);
        }
        Ok(reservation)
    }

    /// How many were taken, and until when.
    fn take_tokens(
        &self,
        limit: NonZeroU32,
        prompt: u64,
        ask: &Ask,
        now_ns: u64,
    ) -> Result<(u64, u64), Refusal> {
        let mut tries = 0;
        loop {
            let left = self.tokens.level(limit, now_ns).remaining;
            let times = u64::from(ask.times.max(1));
            let asked = needed(ask, prompt, u64::from(left) / times).saturating_mul(times);
            let count = u32::try_from(asked).ok().and_then(NonZeroU32::new);
            let taken = match count {
                Some(count) => self.tokens.take(limit, count, now_ns),
                None => Err(Short::Never),
            };
            tries += 1;
            let limit = limit.get();
            match taken {
                Ok(until_ns) => return Ok((asked, until_ns)),
                // Another request took what this one's default had been fitted to.
                Err(Short::Wait(_)) if ask.answer_tokens.is_none() && tries < FIT_TRIES => {}
                Err(Short::Wait(retry_after)) => {
                    return Err(Refusal::Tokens { limit, asked, retry_after });
                }
                Err(Short::Never) => return Err(Refusal::TooManyTokens { limit, asked }),
            }
        }
    }

    /// What is left now.
    pub fn state(&self, now_ns: u64) -> State {
        State {
            requests: self
                .rules
                .requests_per_minute
                .map(|limit| self.requests.level(limit, now_ns)),
            tokens: self.rules.tokens_per_minute.map(|limit| self.tokens.level(limit, now_ns)),
            open_streams: self.streams.load(Relaxed),
        }
    }

    fn open_stream(self: &Arc<Self>) -> Result<OpenStream, Refusal> {
        let limit = self.rules.concurrent_streams.map_or(u32::MAX, NonZeroU32::get);
        let more = |open: u32| (open < limit).then(|| open + 1);
        match self.streams.fetch_update(Relaxed, Relaxed, more) {
            Ok(_) => Ok(OpenStream(self.clone())),
            Err(_) => Err(Refusal::Streams { limit, retry_after: STREAM_RETRY }),
        }
    }
}

/// Prompt and answers, at least 1. What the client did not ask for must not keep its request out:
/// the default for the answers gives way to what is `left`, down to a token each.
fn needed(ask: &Ask, prompt: u64, left: u64) -> u64 {
    let choices = u64::from(ask.choices);
    let answer = match ask.answer_tokens {
        Some(tokens) => tokens.saturating_mul(choices),
        None => {
            let default = ask.answer_tokens_default.saturating_mul(choices);
            default.min(left.saturating_sub(prompt)).max(choices)
        }
    };
    prompt.saturating_add(answer).max(1)
}

/// One of a key's streams, until it is dropped.
#[derive(Debug)]
struct OpenStream(Arc<Account>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests;
