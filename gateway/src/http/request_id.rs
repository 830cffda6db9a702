//! The name of a request, in its answer, in the log and towards providers: the caller's where it is
//! fit to be repeated in a header, else one made here, which sorts by time.

use http::{HeaderMap, HeaderName, HeaderValue};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Builder;

pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

const BYTES_MAX: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

/// Makes ids. They need to be unique, not secret: a keyed hash of a counter, and no system call.
#[derive(Debug, Default)]
pub(super) struct Minter {
    key: RandomState,
    made: AtomicU64,
}

// === impl RequestId ===

impl RequestId {
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    fn from_caller(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(HEADER)?;
        let bytes = value.as_bytes();
        let fits = !bytes.is_empty()
            && bytes.len() <= BYTES_MAX
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(b));
        fits.then(|| Self(value.clone()))
    }
}

// === impl Minter ===

impl Minter {
    /// The caller's id, or `req_` and a UUIDv7 of this time.
    pub(super) fn for_request(&self, headers: &HeaderMap, unix_ms: u64) -> RequestId {
        RequestId::from_caller(headers).unwrap_or_else(|| self.mint(unix_ms))
    }

    fn mint(&self, unix_ms: u64) -> RequestId {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let mut random = [0u8; 10];
        let (left, right) = (self.key.hash_one(number), self.key.hash_one((number, 1u8)));
        for (to, from) in
            random.iter_mut().zip(left.to_le_bytes().into_iter().chain(right.to_le_bytes()))
        {
            *to = from;
        }
        let id = Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid();
        let text = format!("req_{}", id.simple());
        RequestId(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("req_unknown")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn minted_ids_are_unique_and_sort_by_time() {
        let minter = Minter::default();
        let none = HeaderMap::new();
        let ids: HashSet<String> =
            (0..10_000).map(|_| minter.for_request(&none, 5).as_str().to_owned()).collect();
        assert_eq!(ids.len(), 10_000);
        let later = minter.for_request(&none, 6).as_str().to_owned();
        assert!(ids.iter().all(|id| *id < later && id.len() == 36 && id.starts_with("req_")));
    }

    #[test]
    fn a_callers_id_is_kept_if_it_is_fit() {
        let minter = Minter::default();
        let long = "x".repeat(BYTES_MAX + 1);
        for (sent, kept) in
            [("abc-1.2:3_X", true), ("", false), ("a b", false), ("é", false), (&*long, false)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_bytes(sent.as_bytes()).expect("a value"));
            assert_eq!(minter.for_request(&headers, 0).as_str() == sent, kept, "{sent}");
        }
    }
}
