//! Text of a chat answer. A provider that cuts its text by UTF-16 may send one half of a character in one
//! chunk and the other in the next; here every piece told is text by itself.

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::fmt;

/// UTF-8, in which halves of characters (surrogates) may stand.
#[derive(Debug, Default)]
pub(super) struct Text(Vec<u8>);

/// What the pieces of one text belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Reasoning,
    Text,
    Refusal,
    Arguments(u32),
}

/// Keeps the first half of a character until the second comes.
#[derive(Debug, Default)]
pub(super) struct Joiner(Option<(Lane, u32)>);

// === impl Text ===

impl Text {
    /// Halves as U+FFFD.
    pub(super) fn lossy(self) -> String {
        String::from_utf8(self.0)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Reader)
    }
}

struct Reader;

impl Visitor<'_> for Reader {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.as_bytes().to_vec()))
    }

    fn visit_bytes<E: Error>(self, text: &[u8]) -> Result<Text, E> {
        Ok(Text(text.to_vec()))
    }
}

// === impl Joiner ===

impl Joiner {
    /// The next piece of a lane's text, with the half that waited for it and without one at its end.
    pub(super) fn join(&mut self, lane: Lane, text: Text) -> String {
        let mut text = text.0;
        if text.is_empty() {
            return String::new();
        }
        let first = self.0.take().filter(|(waiting, _)| *waiting == lane);
        let mut start = String::new();
        if let Some((_, high)) = first {
            let low =
                text.first_chunk().and_then(half).filter(|low| (0xdc00..0xe000).contains(low));
            match low {
                Some(low) => {
                    let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                    start.extend(char::from_u32(code));
                    text.drain(..3);
                }
                None => start.push(char::REPLACEMENT_CHARACTER),
            }
        }
        let last = text.last_chunk().and_then(half).filter(|high| (0xd800..0xdc00).contains(high));
        if let Some(high) = last {
            text.truncate(text.len().saturating_sub(3));
            self.0 = Some((lane, high));
        }
        let text = Text(text).lossy();
        if start.is_empty() { text } else { start + &text }
    }
}

/// The surrogate these three bytes are, if they are one.
fn half(bytes: &[u8; 3]) -> Option<u32> {
    let [0xed, second @ 0xa0..=0xbf, third] = *bytes else { return None };
    Some(0xd000 | u32::from(second & 0x3f) << 6 | u32::from(third & 0x3f))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(pieces: &[&str]) -> Vec<String> {
        let mut joiner = Joiner::default();
        let texts = pieces.iter().map(|piece| serde_json::from_str(piece).expect("a string"));
        texts.map(|text| joiner.join(Lane::Text, text)).collect()
    }

    #[test]
    fn halves_find_each_other_and_lone_ones_are_replaced() {
        for (pieces, texts) in [
            (&[r#""a""#, r#""\ud83d\ude00é""#][..], &["a", "😀é"][..]),
            (&[r#""a\ud83d""#, r#""\ude00b""#], &["a", "😀b"]),
            (&[r#""\ud83d""#, r#""""#, r#""\ude00""#], &["", "", "😀"]),
            (&[r#""\ud83d""#, r#""x""#], &["", "\u{fffd}x"]),
            (&[r#""x\ud83d""#], &["x"]),
        ] {
            assert_eq!(join(pieces), texts, "{pieces:?}");
        }
        assert!(join(&[r#""a\ude00b""#]).concat().contains('\u{fffd}'));
    }

    #[test]
    fn each_lane_has_its_own_halves() {
        let mut joiner = Joiner::default();
        let text = |json: &str| serde_json::from_str::<Text>(json).expect("a string");
        assert_eq!(joiner.join(Lane::Arguments(0), text(r#""\ud83d""#)), "");
        assert_eq!(joiner.join(Lane::Arguments(1), text(r#""b""#)), "b");
        assert!(serde_json::from_str::<Text>("7").is_err());
    }
}
