//! Text to token ids and back, by the model's own files. Owns which ids end an answer, the bytes of
//! each id, and the guard that keeps special tokens inside a caller's text from becoming special.
//! It renders no template and holds no state of an answer.

mod files;
pub mod gguf;
mod guard;

pub use files::{Error, Specials};
pub(crate) use files::{bytes, json, specials};
pub use guard::Guard;

use toktrie::TokEnv;

/// What an id stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    pub bytes: Box<[u8]>,
    /// Control tokens: no text of their own.
    pub special: bool,
}

/// One model's tokenizer. Shared by all requests.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    pieces: Vec<Piece>,
    eos: Vec<u32>,
    /// Put before raw texts where the tokenizer's own rules don't.
    bos: Option<u32>,
    guard: guard::Guarded,
    env: TokEnv,
    piece_bytes_max: usize,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("ids", &self.pieces.len())
            .field("eos", &self.eos)
            .finish_non_exhaustive()
    }
}

// === impl Tokenizer ===

impl Tokenizer {
    /// Ids the tokenizer knows. A model's row may be longer (padding).
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Ids that end an answer; never empty. The first is the one to force.
    pub fn eos(&self) -> &[u32] {
        &self.eos
    }

    pub fn is_eos(&self, id: u32) -> bool {
        self.eos.contains(&id)
    }

    /// Of an id beyond the vocabulary: nothing.
    pub fn piece(&self, id: u32) -> Option<&Piece> {
        self.pieces.get(usize::try_from(id).ok()?)
    }

    /// The id of a token written out, such as `<tool_call>`.
    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// For grammars: the same vocabulary as a trie.
    pub fn env(&self) -> &TokEnv {
        &self.env
    }

    /// The fewest tokens a text of this many bytes can make: a cheap bound before tokenising.
    pub fn tokens_min(&self, bytes: usize) -> usize {
        bytes.div_ceil(self.piece_bytes_max.max(1))
    }

    /// A guard for one request's strings: see [`Guard`]. `None` when no sentinel is free.
    pub fn guard<'t>(&self, texts: impl Iterator<Item = &'t str>) -> Option<Guard<'_>> {
        self.guard.guard(texts)
    }

    /// Ids of a rendered template, in which guarded text stays text. Adds no token of its own.
    pub fn encode_rendered(&self, text: &str, guard: &Guard<'_>) -> Result<Vec<u32>, Error> {
        let mut ids = Vec::new();
        for part in guard.parts(text) {
            ids.extend_from_slice(self.encode(part, false)?.get_ids());
        }
        Ok(ids)
    }

    /// Ids of a whole prompt given as text: special tokens in it are meant, and the tokens the
    /// model's tokenizer puts around a text (a start token) are added.
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>, Error> {
        let encoding = self.encode(text, true)?;
        let ids = encoding.get_ids();
        let bos = self.bos.filter(|bos| ids.first() != Some(bos));
        Ok(bos.into_iter().chain(ids.iter().copied()).collect())
    }

    /// The text of ids, special tokens left out, broken characters as U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        let pieces = ids.iter().filter_map(|id| self.piece(*id)).filter(|piece| !piece.special);
        let bytes: Vec<u8> = pieces.flat_map(|piece| piece.bytes.iter().copied()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn encode(&self, text: &str, around: bool) -> Result<tokenizers::Encoding, Error> {
        self.inner.encode_fast(text, around).map_err(|error| Error::Encode(error.to_string()))
    }
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
