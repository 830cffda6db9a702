//! The event that ends a stream which failed after its status line was sent. No `[DONE]` follows it.

use bytes::Bytes;
use openapi::error::ErrorBody;

/// `data: {"error":{…}}` and its blank line.
pub fn print(body: &ErrorBody) -> Bytes {
    let json = body.to_json();
    let mut event = String::with_capacity(json.len() + 8);
    event.push_str("data: ");
    event.push_str(&json);
    event.push_str("\n\n");
    event.into()
}
