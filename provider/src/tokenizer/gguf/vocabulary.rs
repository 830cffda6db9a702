//! A Hugging Face tokenizer out of a GGUF file's metadata, with the file's ids. Byte-level BPE
//! (`gpt2`) and SentencePiece unigram (`llama`), as mistral.rs reads them; where a file names a way
//! of splitting that is not known here, its `tokenizer.json` must stand beside it.

use serde_json::{Value as Json, json};
use tokenizers::Tokenizer as Inner;

use super::super::{Error, Specials, Tokenizer};
use super::{Metadata, Value};

const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// GGUF's token types.
const NORMAL: i128 = 1;
const USER_DEFINED: i128 = 4;
const BYTE: i128 = 6;

impl Metadata {
    /// The tokenizer in this file.
    pub fn tokenizer(&self) -> Result<Tokenizer, Error> {
        let tokens = self.tokens()?;
        let (model, rest) = match self.text("tokenizer.ggml.model") {
            Some("gpt2") => self.byte_level(&tokens)?,
            Some("llama") => self.unigram(&tokens)?,
            other => {
                let name = other.unwrap_or("none");
                return Err(self.malformed(format!(
                    "tokenizer `{name}` is not read; put the model's tokenizer.json beside the file"
                )));
            }
        };
        let mut file =
            json!({"version": "1.0", "added_tokens": self.added(&tokens), "model": model});
        if let (Json::Object(file), Json::Object(rest)) = (&mut file, rest) {
            file.extend(rest);
        }
        let inner = Inner::from_bytes(file.to_string()).map_err(|error| self.malformed(error))?;
        let eos = ["eos_token_id", "eot_token_id", "eom_token_id"];
        let eos = eos.iter().filter_map(|name| self.id(name)).collect();
        let bos = self.flag("tokenizer.ggml.add_bos_token").unwrap_or(false);
        Tokenizer::assemble(inner, eos, self.id("bos_token_id").filter(|_| bos), None)
    }

    /// What a template calls the special tokens.
    pub fn specials(&self) -> Result<Specials, Error> {
        let tokens = self.tokens()?;
        let names = [("bos_token", "bos_token_id"), ("eos_token", "eos_token_id")];
        let token = |key: &str| tokens.get(usize::try_from(self.id(key)?).ok()?).copied();
        let named = names
            .iter()
            .filter_map(|(name, key)| Some(((*name).to_owned(), token(key)?.to_owned())));
        Ok(named.collect())
    }

    fn id(&self, name: &str) -> Option<u32> {
        self.int(&format!("tokenizer.ggml.{name}")).and_then(|id| u32::try_from(id).ok())
    }

    fn tokens(&self) -> Result<Vec<&str>, Error> {
        let list = self.list("tokenizer.ggml.tokens");
        let list = list.ok_or_else(|| self.malformed("holds no tokenizer"))?;
        Ok(list
            .iter()
            .map(|token| if let Value::Text(token) = token { token } else { "" })
            .collect())
    }

    fn kinds(&self) -> impl Iterator<Item = i128> {
        let kinds = self.list("tokenizer.ggml.token_type").unwrap_or_default();
        kinds.iter().map(|kind| if let Value::Int(kind) = kind { *kind } else { NORMAL })
    }

    fn added(&self, tokens: &[&str]) -> Vec<Json> {
        let added = tokens.iter().zip(self.kinds()).enumerate();
        let added = added.filter(|(_, (_, kind))| *kind != NORMAL && *kind != BYTE);
        let added = added.map(|(id, (token, kind))| {
            json!({"id": id, "content": token, "special": kind != USER_DEFINED, "normalized": false,
                   "single_word": false, "lstrip": false, "rstrip": false})
        });
        added.collect()
    }

    fn byte_level(&self, tokens: &[&str]) -> Result<(Json, Json), Error> {
        let merges = self.list("tokenizer.ggml.merges");
        let merges = merges.ok_or_else(|| self.malformed("holds no merges"))?;
        let merges: Vec<Json> = merges
            .iter()
            .filter_map(
                |merge| if let Value::Text(merge) = merge { merge.split_once(' ') } else { None },
            )
            .map(|(left, right)| json!([left, right]))
            .collect();
        let vocab: serde_json::Map<String, Json> =
            tokens.iter().enumerate().map(|(id, token)| ((*token).to_owned(), id.into())).collect();
        let (regex, whole_words) = match self.text("tokenizer.ggml.pre") {
            Some("qwen2" | "default") | None => (QWEN2, false),
            Some("llama-bpe" | "llama3" | "llama-v3") => (LLAMA3, true),
            Some(other) => {
                return Err(self.malformed(format!(
                    "splitting `{other}` is not known; put the model's tokenizer.json beside the file"
                )));
            }
        };
        let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
        let split = json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false});
        let rest = json!({
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, bytes.clone()]},
            "decoder": bytes,
        });
        Ok((
            json!({"type": "BPE", "vocab": vocab, "merges": merges, "ignore_merges": whole_words}),
            rest,
        ))
    }

    fn unigram(&self, tokens: &[&str]) -> Result<(Json, Json), Error> {
        let scores = self.list("tokenizer.ggml.scores");
        let scores = scores.ok_or_else(|| self.malformed("holds no scores"))?;
        let vocab: Vec<Json> = tokens
            .iter()
            .zip(scores)
            .map(|(token, score)| {
                json!([token, if let Value::Float(score) = score { *score } else { 0.0 }])
            })
            .collect();
        let unknown = self.id("unknown_token_id").unwrap_or(0);
        let model =
            json!({"type": "Unigram", "unk_id": unknown, "vocab": vocab, "byte_fallback": true});
        let rest = json!({
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ]},
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ]},
        });
        Ok((model, rest))
    }
}
