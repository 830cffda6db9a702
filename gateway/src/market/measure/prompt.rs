//! Prompts to measure with: words drawn at random, so that no cache holds them and nobody can have
//! prepared for them. Each word is short and common, one token of any usual vocabulary.

use bytes::Bytes;
use serde_json::json;

use crate::request::Endpoint;
use crate::route::Random;

/// Tokens asked for.
pub(super) const ANSWER_TOKENS: u32 = 32;
/// Of an answer that is cancelled after its first.
pub(super) const CANCELLED_TOKENS: u32 = 256;

/// 7 bits a word.
const WORDS: [&str; 128] = [
    "able", "air", "all", "and", "any", "area", "art", "ask", "away", "baby", "back", "bad",
    "ball", "bank", "base", "bed", "best", "big", "bill", "blue", "body", "book", "both", "box",
    "boy", "call", "car", "card", "care", "case", "city", "cold", "come", "cost", "cup", "cut",
    "dark", "data", "date", "day", "deal", "deep", "door", "down", "draw", "drop", "early", "east",
    "easy", "eat", "edge", "end", "even", "eye", "face", "fact", "fall", "far", "farm", "fast",
    "feel", "few", "file", "fine", "fire", "fish", "five", "food", "foot", "form", "four", "free",
    "full", "game", "girl", "give", "glass", "gold", "good", "green", "group", "hair", "half",
    "hand", "hard", "head", "heat", "help", "high", "hill", "home", "hope", "hot", "hour", "house",
    "idea", "job", "keep", "key", "kind", "king", "land", "late", "law", "left", "life", "light",
    "line", "list", "long", "love", "main", "man", "map", "mark", "mind", "moon", "name", "near",
    "new", "night", "north", "note", "oil", "open", "page", "part", "plan",
];

/// Numbers from a seed. No secret.
#[derive(Debug, Clone)]
pub(super) struct Numbers(Random);

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0.draw()
    }

    /// So many words.
    pub(super) fn text(&mut self, words: u32) -> String {
        let mut text = String::with_capacity(words as usize * 6);
        for number in 0..words {
            if number > 0 {
                text.push(' ');
            }
            // The high bits: 7 of them are an index.
            let index = usize::try_from(self.next() >> 57).unwrap_or_default();
            text.push_str(WORDS.get(index).copied().unwrap_or_default());
        }
        text
    }
}

/// A request with these texts. The model's name is put in when it is sent.
pub(super) fn body(endpoint: Endpoint, texts: &[String], answer_tokens: u32) -> Bytes {
    let text = texts.concat();
    let body = match endpoint {
        // So that there is something to say for as many tokens as are asked for.
        Endpoint::ChatCompletions => json!({
            "model": "measured",
            "messages": [{"role": "user", "content": format!("Repeat these words: {text}")}],
            "max_tokens": answer_tokens,
            "stream": true,
        }),
        Endpoint::Completions => json!({
            "model": "measured",
            "prompt": text,
            "max_tokens": answer_tokens,
            "stream": true,
        }),
        Endpoint::Embeddings => json!({ "model": "measured", "input": texts }),
    };
    Bytes::from(body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_of_the_asked_length_and_never_the_same() {
        let mut numbers = Numbers::new(1);
        let (one, other) = (numbers.text(64), numbers.text(64));
        assert_eq!(one.split(' ').count(), 64);
        assert_ne!(one, other);
        assert_eq!(Numbers::new(1).text(64), one, "the seed decides");
        let words: std::collections::HashSet<_> = WORDS.iter().collect();
        assert_eq!(words.len(), WORDS.len(), "no word is there twice");
        assert!(WORDS.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())));
    }

    #[test]
    fn every_word_is_drawn() {
        let text = Numbers::new(7).text(4_000);
        let drawn: std::collections::HashSet<_> = text.split(' ').collect();
        assert_eq!(drawn.len(), WORDS.len());
    }
}
