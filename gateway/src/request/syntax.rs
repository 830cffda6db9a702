//! Where and why a body is not JSON, in words. Only reached once reading has failed.

use serde::de::IgnoredAny;

use super::Error;
use crate::json::{DEPTH_MAX, Fault};

/// The body is not UTF-8 text without a byte order mark.
pub(crate) fn text(body: &[u8]) -> Result<&str, Error> {
    if body.starts_with(b"\xef\xbb\xbf") {
        return Err(Error::body(
            "The request body starts with a byte order mark; send UTF-8 without one.",
        ));
    }
    std::str::from_utf8(body).map_err(|error| {
        let (line, column) = position(body, error.valid_up_to());
        Error::body(format!("The request body is not valid UTF-8 (line {line}, column {column})."))
    })
}

/// The error for a fault of the lexer.
pub(crate) fn fault(text: &str, fault: Fault) -> Error {
    let at = match fault {
        Fault::Depth => {
            return Error::body(format!(
                "The request body is nested deeper than {DEPTH_MAX} levels."
            ));
        }
        Fault::Syntax(at) => at,
    };
    if text.trim_ascii().is_empty() {
        return Error::body("The request body is empty; a JSON object is expected.");
    }
    // serde_json names what it expected, and line and column.
    let reason = match serde_json::from_str::<IgnoredAny>(text) {
        Err(error) => error.to_string(),
        Ok(_) => {
            let (line, column) = position(text.as_bytes(), at);
            format!("unexpected character at line {line} column {column}")
        }
    };
    Error::body(format!("The request body is not valid JSON: {reason}."))
}

/// Line and column, from 1; columns count bytes.
fn position(bytes: &[u8], at: usize) -> (usize, usize) {
    let before = bytes.get(..at).unwrap_or(bytes);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    (line, before.len() - start + 1)
}
