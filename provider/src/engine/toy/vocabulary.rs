//! The toy's vocabulary: 256 bytes, words of two syllables, and ChatML's special tokens. Prompts are read
//! byte by byte; answers are words.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

use crate::model::Model;
use crate::template::Template;
use crate::tokenizer::{Error, Tokenizer};

pub(super) const BYTES: u32 = 256;
pub(super) const WORDS: u32 = 500;
/// Ends an answer.
pub(super) const END: u32 = BYTES + WORDS;
const START: u32 = END + 1;
pub(super) const ROW: u32 = START + 1;
/// Tokens, prompt and answer together.
pub(super) const CONTEXT: u32 = 8192;

const END_TEXT: &str = "<|im_end|>";
const START_TEXT: &str = "<|im_start|>";
const TEMPLATE: &str = "{%- if tools %}{{ '<|im_start|>system\n' }}{% for tool in tools %}{{ tool | tojson }}\
    {%- endfor %}{{ '<|im_end|>\n' }}{% endif %}{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' \
    + (m.content or '') + '<|im_end|>\n' }}{% endfor %}{{ '<|im_start|>assistant\n' }}";

/// Everything but the logits.
pub(super) fn model() -> Result<Model, Error> {
    let tokenizer = Tokenizer::from_json(&file(), vec![END], Some(ROW as usize))?;
    let specials = BTreeMap::from([
        ("eos_token".to_owned(), END_TEXT.to_owned()),
        ("bos_token".to_owned(), START_TEXT.to_owned()),
    ]);
    let template = Template::new(TEMPLATE.to_owned(), None, specials).map_err(Error::Encode)?;
    let row = Some(ROW as usize);
    Model::assemble(tokenizer, Some(template), CONTEXT.into(), row, Some("f32".to_owned()))
}

/// As `tokenizer.json`.
fn file() -> Value {
    let mut vocabulary = Map::new();
    for (id, letter) in letters().enumerate() {
        vocabulary.insert(letter.to_string(), id.into());
    }
    for word in 0..WORDS {
        vocabulary.insert(format!("Ġ{}", self::word(word)), (BYTES + word).into());
    }
    let special = |id: u32, content: &str| {
        json!({"id": id, "content": content, "special": true, "single_word": false,
               "lstrip": false, "rstrip": false, "normalized": false})
    };
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
        "use_regex": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [special(END, END_TEXT), special(START, START_TEXT)],
        "pre_tokenizer": bytes.clone(), "post_processor": null, "decoder": bytes,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    })
}

fn word(number: u32) -> String {
    let syllable = |number: u32| {
        let letter = |of: &str, at: u32| of.chars().nth(at as usize).unwrap_or('a');
        let (first, second) = (number / 5 % 20, number % 5);
        [letter("bcdfghjklmnprstvwxyz", first), letter("aeiou", second)]
    };
    [syllable(number % 100), syllable(7 * number + number / 100)].as_flattened().iter().collect()
}

/// GPT-2's letters for the 256 bytes.
fn letters() -> impl Iterator<Item = char> {
    let mut next = 0x100u32;
    (0..=255u8).map(move |byte| match byte {
        b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => char::from(byte),
        _ => {
            next += 1;
            char::from_u32(next - 1).unwrap_or('\u{100}')
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_token_has_its_own_text() {
        let words: HashSet<String> = (0..WORDS).map(word).collect();
        assert_eq!(words.len(), WORDS as usize);
        let model = model().unwrap();
        let tokenizer = &model.tokenizer;
        assert_eq!(tokenizer.len(), ROW as usize);
        assert_eq!(tokenizer.decode(&[BYTES, BYTES + 1, END]), " baba beci");
        assert_eq!(tokenizer.encode_text("a b").unwrap(), [97, 32, 98]);
        assert_eq!(tokenizer.eos(), [END]);
    }
}
