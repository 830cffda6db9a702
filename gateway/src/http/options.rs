//! What a client asks for by headers, for programs that cannot add members to a body.

use http::{HeaderMap, HeaderName};
use std::time::Duration;

use super::error::Error;

const TIMEOUT_MS: HeaderName = HeaderName::from_static("x-quorate-timeout-ms");

/// The client's own patience with the whole request, from its head on.
///
/// # Errors
/// Not a number of milliseconds of at least 1, or there twice.
pub(super) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(text) = single(headers, &TIMEOUT_MS)? else { return Ok(None) };
    match text.parse::<u64>() {
        Ok(ms) if ms > 0 => Ok(Some(Duration::from_millis(ms))),
        _ => Err(wrong(&TIMEOUT_MS, "expected a number of milliseconds of at least 1")),
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
