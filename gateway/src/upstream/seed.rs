//! The seed of answers whose clients gave none, for nodes that can go on with each other's: whoever is
//! asked for a request, at once or in mid-answer, is asked for the very same answer. The next request is
//! asked for another, also where its client gives all of them one id.

use http::HeaderValue;

/// A secret of this process. Without it nobody can tell a seed beforehand.
#[derive(Clone)]
pub struct Seeds([u8; blake3::KEY_LEN]);

impl std::fmt::Debug for Seeds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seeds")
    }
}

// === impl Seeds ===

impl Seeds {
    /// # Errors
    /// The system has no random numbers.
    pub fn draw() -> Result<Self, getrandom::Error> {
        let mut secret = [0; blake3::KEY_LEN];
        getrandom::fill(&mut secret)?;
        Ok(Self(secret))
    }

    /// 63 bits, from 0 on: some servers know no others. `draw`: the request's random number.
    pub(super) fn of(&self, request_id: &HeaderValue, draw: u64) -> i64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&draw.to_le_bytes()).update(request_id.as_bytes());
        let hash = hasher.finalize();
        let first = hash.as_bytes().first_chunk().copied().unwrap_or_default();
        i64::from_le_bytes(first) & i64::MAX
    }

    /// An order of `names` that is the request's own, and that nobody can know beforehand.
    pub(super) fn rank(&self, request_id: &HeaderValue, draw: u64, name: &[u8]) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(b"rank\0").update(&draw.to_le_bytes()).update(request_id.as_bytes());
        hasher.update(b"\0").update(name);
        let first = hasher.finalize().as_bytes().first_chunk().copied().unwrap_or_default();
        u64::from_le_bytes(first)
    }

    /// 32 hex digits that name the occasion: no answer made before has them.
    pub(super) fn nonce(&self, request_id: &HeaderValue, draw: u64) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(b"nonce\0").update(&draw.to_le_bytes());
        hasher.update(request_id.as_bytes());
        let hash = hasher.finalize();
        hex::encode(hash.as_bytes().first_chunk::<16>().copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_the_requests_and_the_processs() {
        const DRAW: u64 = 7;
        let (here, there) = (Seeds([1; 32]), Seeds([2; 32]));
        let (one, two) = (HeaderValue::from_static("one"), HeaderValue::from_static("two"));
        assert_eq!(here.of(&one, DRAW), here.clone().of(&one, DRAW));
        assert_ne!(here.of(&one, DRAW), here.of(&two, DRAW));
        assert_ne!(here.of(&one, DRAW), here.of(&one, 8), "another request of the same name");
        assert_ne!(here.of(&one, DRAW), there.of(&one, DRAW));
        assert!(here.of(&one, DRAW) >= 0 && here.of(&two, DRAW) >= 0);
        assert_ne!(here.nonce(&one, 1), here.nonce(&two, 1));
        assert_ne!(here.nonce(&one, 1), there.nonce(&one, 1));
        assert_ne!(here.nonce(&one, 1), here.nonce(&one, 2));
        assert!(!format!("{here:?}").contains('1'));
    }
}
