//! The occasion a gateway names with a request: [`NONCE_HEADER`].

use super::error::Error;
use http::HeaderMap;
use openapi::evidence::NONCE_HEADER;

const DIGITS: usize = 32;

/// 32 hex digits, or nothing. Anything else is refused: a commitment over something that is cut would
/// be one to another occasion.
pub(super) fn of(headers: &HeaderMap) -> Result<String, Error> {
    let Some(value) = headers.get(NONCE_HEADER) else { return Ok(String::new()) };
    let text = value.to_str().unwrap_or_default();
    if text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_owned());
    }
    let message = format!("`{NONCE_HEADER}` must be {DIGITS} hex digits");
    Err(Error::invalid(NONCE_HEADER, message))
}
