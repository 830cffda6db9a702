//! What a client asks for by headers, for programs that cannot add members to a body.

use http::{HeaderMap, HeaderName};
use std::time::Duration;

use super::error::Error;
use crate::request::policy::Urgency;

const TIMEOUT_MS: HeaderName = HeaderName::from_static("x-quorate-timeout-ms");
const CACHE: HeaderName = HeaderName::from_static("x-quorate-cache");
const PRIORITY: HeaderName = HeaderName::from_static("x-quorate-priority");
const EXPLAIN: HeaderName = HeaderName::from_static("x-quorate-explain");
pub(super) const PROVIDER: HeaderName = HeaderName::from_static("x-quorate-provider");
pub(super) const VERIFY: HeaderName = HeaderName::from_static("x-quorate-verify");

/// Read, but for the policies, which the request module reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Options<'a> {
    /// The client's own patience with the whole request, from its head on.
    pub(super) timeout: Option<Duration>,
    pub(super) urgency: Urgency,
    /// Whether the answer is to say how its provider was chosen.
    pub(super) explain: bool,
    /// Whether an answer that was kept will do.
    pub(super) cache: Option<bool>,
    /// As the body's `provider`, which goes before it.
    pub(super) provider: Option<&'a str>,
    /// As the body's `verification`, which goes before it.
    pub(super) verification: Option<&'a str>,
}

// === impl Options ===

impl<'a> Options<'a> {
    /// # Errors
    /// A header that is there twice, is not text, or has a value it can't have.
    pub(super) fn read(headers: &'a HeaderMap) -> Result<Self, Error> {
        let timeout = match single(headers, &TIMEOUT_MS)?.map(str::parse::<u64>) {
            None => None,
            Some(Ok(ms)) if ms > 0 => Some(Duration::from_millis(ms)),
            Some(_) => {
                return Err(wrong(&TIMEOUT_MS, "expected a number of milliseconds of at least 1"));
            }
        };
        let urgency = match single(headers, &PRIORITY)? {
            None | Some("normal") => Urgency::Normal,
            Some("low") => Urgency::Low,
            Some("high") => Urgency::High,
            Some(_) => return Err(wrong(&PRIORITY, "expected low, normal or high")),
        };
        let explain = match single(headers, &EXPLAIN)? {
            None | Some("0") => false,
            Some("1") => true,
            Some(_) => return Err(wrong(&EXPLAIN, "expected 0 or 1")),
        };
        let cache = match single(headers, &CACHE)? {
            None => None,
            Some("on") => Some(true),
            Some("off") => Some(false),
            Some(_) => return Err(wrong(&CACHE, "expected on or off")),
        };
        Ok(Self {
            timeout,
            urgency,
            explain,
            cache,
            provider: single(headers, &PROVIDER)?,
            verification: single(headers, &VERIFY)?,
        })
    }
}

/// The text of a header that may be there once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Error> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(wrong(name, "it is there twice"));
    }
    match value.to_str() {
        Ok(text) => Ok(Some(text.trim())),
        Err(_) => Err(wrong(name, "expected visible ASCII characters")),
    }
}

fn wrong(name: &HeaderName, what: &str) -> Error {
    Error::invalid(name.as_str(), format!("Invalid header '{name}': {what}."))
}
