//! A small byte-level tokenizer for tests: 256 bytes, a few words, and special tokens.

use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::Tokenizer;

pub(crate) const EOS: u32 = 1000;

/// As `tokenizer.json`.
pub(crate) fn file() -> Value {
    let mut vocab = serde_json::Map::new();
    for (id, c) in byte_letters().into_iter().enumerate() {
        vocab.insert(c.to_string(), id.into());
    }
    let merges =
        [["h", "e"], ["l", "l"], ["he", "ll"], ["hell", "o"], ["Ġ", "w"], ["o", "r"], ["Ġw", "or"]];
    for (at, [a, b]) in merges.iter().enumerate() {
        vocab.insert(format!("{a}{b}"), (256 + at).into());
    }
    let added = |id: u32, content: &str, special: bool| {
        json!({"id": id, "content": content, "special": special, "single_word": false,
               "lstrip": false, "rstrip": false, "normalized": false})
    };
    for id in 256 + merges.len()..1000 {
        vocab.insert(format!("filler{id}"), id.into());
    }
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [added(EOS, "<|im_end|>", true), added(1001, "<|im_start|>", true),
            added(1002, "<think>", false), added(1003, "</think>", false)],
        "pre_tokenizer": bytes.clone(), "post_processor": null, "decoder": bytes,
        "model": {"type": "BPE", "vocab": vocab, "merges": merges},
    })
}

/// A model folder without weights.
pub(crate) fn folder(at: &Path, template: &str) {
    let config = json!({"eos_token": "<|im_end|>", "bos_token": {"content": "<|im_start|>"},
        "chat_template": template});
    std::fs::write(at.join("tokenizer.json"), file().to_string()).unwrap();
    std::fs::write(at.join("tokenizer_config.json"), config.to_string()).unwrap();
    let config =
        json!({"max_position_embeddings": 1024, "vocab_size": 1010, "torch_dtype": "float16"});
    std::fs::write(at.join("config.json"), config.to_string()).unwrap();
}

/// Built once: it takes a while in debug builds.
pub(crate) fn tokenizer() -> Arc<Tokenizer> {
    static SHARED: OnceLock<Arc<Tokenizer>> = OnceLock::new();
    let build = || {
        let folder = tempfile::tempdir().unwrap();
        self::folder(folder.path(), "");
        Arc::new(Tokenizer::from_folder(folder.path(), Some(1010)).unwrap())
    };
    Arc::clone(SHARED.get_or_init(build))
}

/// GPT-2's letters for the 256 bytes.
pub(crate) fn byte_letters() -> Vec<char> {
    let mut next = 0x100u32;
    let letters = (0..=255u8).map(|byte| match byte {
        b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => char::from(byte),
        _ => {
            next += 1;
            char::from_u32(next - 1).unwrap()
        }
    });
    letters.collect()
}
