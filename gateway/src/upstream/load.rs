//! What nodes tell of their load with each answer's head.

use http::HeaderMap;
use openapi::node::LOAD_HEADER;
use openapi::node::control::Load;

/// A longer word of a node about its load is not read.
const LOAD_BYTES_MAX: usize = 256;

/// What a node's answer says of its load.
pub(super) fn told(headers: &HeaderMap) -> Option<Load> {
    let text = headers.get(LOAD_HEADER)?.to_str().ok()?;
    if text.len() > LOAD_BYTES_MAX {
        return None;
    }
    Load::from_header(text)
}
