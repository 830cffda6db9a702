//! Reads a tokenizer and its ends of text from the files of a model folder.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tokenizers::Tokenizer as Inner;
use toktrie_hf_tokenizers::ByteTokenizer;

use super::guard::Guarded;
use super::{Piece, Tokenizer};

/// Larger than any known tokenizer.json.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Ids of one model; the largest known have a quarter of it.
const IDS_MAX: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{file}: {source}")]
    Read { file: String, source: std::io::Error },
    #[error("{file}: {message}")]
    Malformed { file: String, message: String },
    #[error("the model's files name no token that ends an answer (eos_token_id)")]
    NoEos,
    #[error("the tokenizer failed: {0}")]
    Encode(String),
}

/// What a template calls the special tokens: `bos_token`, `eos_token`, `pad_token`, `unk_token`.
pub type Specials = BTreeMap<String, String>;

impl Error {
    pub(super) fn malformed(file: &Path, message: impl ToString) -> Self {
        Self::Malformed { file: file.display().to_string(), message: message.to_string() }
    }
}

/// A JSON file of a model folder; `None` when it is not there.
pub(crate) fn json(file: &Path) -> Result<Option<Value>, Error> {
    let Some(bytes) = bytes(file)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| Error::malformed(file, error))
}

pub(crate) fn bytes(file: &Path) -> Result<Option<Vec<u8>>, Error> {
    let read = |source| Error::Read { file: file.display().to_string(), source };
    match std::fs::metadata(file) {
        Ok(meta) if meta.len() > FILE_BYTES_MAX => Err(Error::malformed(file, "too large")),
        Ok(_) => std::fs::read(file).map(Some).map_err(read),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(read(error)),
    }
}

impl Tokenizer {
    /// From `tokenizer.json`, `tokenizer_config.json`, `generation_config.json` and `config.json` of
    /// a folder. `row`: the model's vocabulary, where it is larger than the tokenizer's.
    pub fn from_folder(folder: &Path, row: Option<usize>) -> Result<Self, Error> {
        let file = folder.join("tokenizer.json");
        let missing = || Error::malformed(&file, "not found");
        let mut inner = Inner::from_bytes(bytes(&file)?.ok_or_else(missing)?)
            .map_err(|error| Error::malformed(&file, error))?;
        // What is too long is refused, and not cut in silence.
        inner.with_truncation(None).map_err(|error| Error::malformed(&file, error))?;
        inner.with_padding(None);
        let mut eos = Vec::new();
        for name in ["generation_config.json", "config.json"] {
            let Some(config) = json(&folder.join(name))? else { continue };
            for owner in [Some(&config), config.get("text_config")].into_iter().flatten() {
                eos.extend(ids(owner.get("eos_token_id")));
            }
        }
        let named = specials(folder)?;
        eos.extend(named.get("eos_token").and_then(|token| inner.token_to_id(token)));
        Self::assemble(inner, eos, None, row)
    }

    /// Of a `tokenizer.json` made here.
    pub(crate) fn from_json(
        file: &Value,
        eos: Vec<u32>,
        row: Option<usize>,
    ) -> Result<Self, Error> {
        let inner = Inner::from_bytes(file.to_string());
        Self::assemble(inner.map_err(|error| Error::Encode(error.to_string()))?, eos, None, row)
    }

    /// `eos` may repeat itself; ids beyond the vocabulary are dropped.
    pub(super) fn assemble(
        inner: Inner,
        eos: Vec<u32>,
        bos: Option<u32>,
        row: Option<usize>,
    ) -> Result<Self, Error> {
        let encode = |error: anyhow::Error| Error::Encode(error.to_string());
        let added = inner.get_added_tokens_decoder();
        // The trie's crate reads with an older tokenizers crate, so it gets the file again.
        let file = inner.to_string(false).map_err(|error| Error::Encode(error.to_string()))?;
        let mut bytes = ByteTokenizer::from_json_bytes(file.as_bytes()).map_err(encode)?;
        let mut pieces: Vec<Piece> = bytes
            .token_bytes()
            .into_iter()
            .map(|bytes| Piece { bytes: bytes.into(), special: false })
            .collect();
        if pieces.len() > IDS_MAX {
            return Err(Error::Encode(format!("{} ids, at most {IDS_MAX}", pieces.len())));
        }
        for (id, token) in &added {
            let at = usize::try_from(*id).ok().and_then(|at| pieces.get_mut(at));
            if let Some(piece) = at {
                // The trie marks tokens like `<think>` as special by their look; their file decides.
                let bytes = token.content.as_bytes().into();
                *piece = Piece { bytes, special: token.special };
            }
        }
        let mut known: Vec<u32> = Vec::new();
        for id in eos {
            if !known.contains(&id) && usize::try_from(id).is_ok_and(|at| at < pieces.len()) {
                known.push(id);
            }
        }
        if known.is_empty() {
            return Err(Error::NoEos);
        }
        bytes.set_eos_tokens(&known);
        let row = row.unwrap_or(0).clamp(pieces.len(), IDS_MAX);
        let env = bytes.into_tok_env(Some(row)).map_err(encode)?;
        let spellings = added.values().filter(|t| t.special).map(|t| t.content.clone());
        let piece_bytes_max = pieces.iter().map(|piece| piece.bytes.len()).max().unwrap_or(1);
        let guard = Guarded::new(spellings);
        Ok(Self { inner, pieces, eos: known, bos, guard, env, piece_bytes_max })
    }
}

/// The special tokens `tokenizer_config.json` names.
pub(crate) fn specials(folder: &Path) -> Result<Specials, Error> {
    let config = json(&folder.join("tokenizer_config.json"))?.unwrap_or_default();
    let text = |value: &Value| -> Option<String> {
        let text = value.as_str().or_else(|| value.get("content")?.as_str())?;
        Some(text.to_owned())
    };
    let names = ["bos_token", "eos_token", "pad_token", "unk_token"];
    let tokens =
        names.iter().filter_map(|name| Some(((*name).to_owned(), text(config.get(*name)?)?)));
    Ok(tokens.collect())
}

/// One id or a list of them.
fn ids(value: Option<&Value>) -> Vec<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Some(Value::Array(list)) => list.iter().filter_map(id).collect(),
        Some(value) => id(value).into_iter().collect(),
        None => Vec::new(),
    }
}
