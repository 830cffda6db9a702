//! A key's limits as clients meet them: refusals, and the `x-ratelimit-*` headers on every answer of
//! a key that has a rate. It counts nothing itself.

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::error::Error;
use crate::app::App;
use crate::auth::Principal;
use crate::limit::{Account, Ask, Level, Refusal, Reservation};
use crate::request::{Endpoint, Summary};

const REQUESTS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const TOKENS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

/// Counts a request that asks for work: every POST, as soon as its head is read. One that is refused
/// later, for whatever reason, has been counted (as OpenAI does), and one too many is refused
/// before its body costs anything. Asking what there is costs nothing.
///
/// # Errors
/// The key's requests of this minute are used up.
pub(super) fn take_request(
    app: &App,
    principal: Option<&Principal>,
    request: &Request<Body>,
) -> Result<(), Error> {
    match principal {
        Some(principal) if *request.method() == Method::POST => {
            Ok(principal.grant.account.take_request(app.limit_time.now_ns())?)
        }
        _ => Ok(()),
    }
}

/// Sets aside what the request may need; to be given to its record, which settles it.
///
/// # Errors
/// It asks for more than the key may have, or has now.
pub(super) fn reserve(
    app: &App,
    principal: &Principal,
    endpoint: Endpoint,
    summary: &Summary,
    body: &[u8],
    times: u32,
) -> Result<Reservation, Error> {
    let has_answer = matches!(endpoint, Endpoint::ChatCompletions | Endpoint::Completions);
    // Of legacy completions, which answer several prompts at once, `choices` is all of them.
    let prompts = match endpoint {
        Endpoint::Completions => u32::try_from(summary.messages).unwrap_or(u32::MAX).max(1),
        _ => 1,
    };
    let ask = Ask {
        text_bytes: body.len().saturating_sub(summary.media.bytes) as u64,
        media: summary.media.pieces,
        answer_tokens: if has_answer { summary.max_tokens } else { Some(0) },
        answer_tokens_default: app.settings.limits.answer_tokens,
        choices: summary.choices,
        n: summary.choices / prompts,
        times,
        is_stream: summary.stream,
    };
    Ok(principal.grant.account.reserve(&ask, &app.limit_time)?)
}

/// The account whose state the answer's headers tell, if they tell one.
pub(super) fn shown(principal: Option<&Principal>) -> Option<Arc<Account>> {
    let account = &principal?.grant.account;
    account.rules.has_rate().then(|| account.clone())
}

pub(super) fn write_headers(account: &Account, now_ns: u64, headers: &mut HeaderMap) {
    let state = account.state(now_ns);
    for (names, level) in [(REQUESTS, state.requests), (TOKENS, state.tokens)] {
        let Some(Level { limit, remaining, full_in }) = level else { continue };
        let [limit_name, remaining_name, reset_name] = names;
        headers.insert(limit_name, HeaderValue::from(limit));
        headers.insert(remaining_name, HeaderValue::from(remaining));
        if let Ok(reset) = HeaderValue::try_from(duration(full_in)) {
            headers.insert(reset_name, reset);
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let limited =
            |limit, retry_after| Self::RateLimited { limit, retry_after: Some(retry_after) };
        match refusal {
            Refusal::Requests { limit, retry_after } => {
                limited(format!("requests per minute (limit {limit})"), retry_after)
            }
            Refusal::Tokens { limit, asked, retry_after } => limited(
                format!("tokens per minute (limit {limit}, requested {asked})"),
                retry_after,
            ),
            Refusal::TooManyTokens { limit, asked } => Self::OverLimit { limit, asked },
            Refusal::Streams { limit, retry_after } => {
                limited(format!("concurrent streams (limit {limit})"), retry_after)
            }
            Refusal::Choices { limit } => {
                Self::invalid("n", format!("This key may ask for at most {limit} choices."))
            }
        }
    }
}

/// As OpenAI writes it, in Go's manner: `0s`, `6ms`, `8.64s`, `1m30s`. Rounded up to a millisecond.
fn duration(duration: Duration) -> String {
    let ms = duration.as_nanos().div_ceil(1_000_000);
    let mut text = String::new();
    if ms > 0 && ms < 1000 {
        return format!("{ms}ms");
    }
    let (hours, minutes, seconds, rest) =
        (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
    // Writing into a String can't fail.
    if hours > 0 {
        let _ = write!(text, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        let _ = write!(text, "{minutes}m");
    }
    let _ = write!(text, "{seconds}");
    if rest > 0 {
        let _ = write!(text, ".{}", format!("{rest:03}").trim_end_matches('0'));
    }
    text.push('s');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_written_as_openai_does() {
        for (ms, text) in [
            (0.0, "0s"),
            (0.2, "1ms"),
            (6.0, "6ms"),
            (999.5, "1s"),
            (8640.0, "8.64s"),
            (60_000.0, "1m0s"),
            (90_000.0, "1m30s"),
            (90_951.0, "1m30.951s"),
            (3_600_001.0, "1h0m0.001s"),
        ] {
            assert_eq!(duration(Duration::from_secs_f64(ms / 1e3)), text);
        }
    }
}
