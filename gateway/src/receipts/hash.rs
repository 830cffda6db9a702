//! Hashes of what came and of what went out, without holding either.

use sha2::{Digest as _, Sha256};

/// A long request is hashed in pieces, between which others have their turn.
const PIECE_BYTES: usize = 128 * 1024;

/// Bytes in the place of which a hash stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digested {
    pub sha256: [u8; 32],
    pub bytes: u64,
}

/// Of bytes that come in pieces.
#[derive(Debug, Clone, Default)]
pub struct Hasher {
    hash: Sha256,
    bytes: u64,
}

/// Of bytes that are there.
pub async fn digest(bytes: &[u8]) -> Digested {
    let mut hasher = Hasher::default();
    for (number, piece) in bytes.chunks(PIECE_BYTES).enumerate() {
        if number > 0 {
            tokio::task::yield_now().await;
        }
        hasher.update(piece);
    }
    hasher.finish()
}

// === impl Hasher ===

impl Hasher {
    #[inline]
    pub fn update(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
    }

    pub fn finish(self) -> Digested {
        Digested { sha256: self.hash.finalize().into(), bytes: self.bytes }
    }
}

impl Default for Digested {
    /// Of no bytes.
    fn default() -> Self {
        Hasher::default().finish()
    }
}
