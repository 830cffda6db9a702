//! String literals: eight bytes a step over what needs no thought, and the decoded length on the way.

use std::borrow::Cow;

use super::{Fault, Lexer, Span};

/// A string literal in the bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Text {
    /// Between the quotes, escapes as they stand.
    pub(crate) span: Span,
    pub(crate) escaped: bool,
    /// UTF-8 bytes once decoded; a lone surrogate counts as U+FFFD.
    pub(crate) decoded_bytes: usize,
}

// === impl Text ===

impl Text {
    /// Quotes included.
    pub(crate) fn quoted(self) -> Span {
        Span { start: self.span.start.saturating_sub(1), end: self.span.end + 1 }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.span.start == self.span.end
    }

    /// The decoded string; `None` for a lone surrogate or for bytes that are not UTF-8.
    pub(crate) fn decode(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        if self.escaped {
            return serde_json::from_slice(self.quoted().of(bytes)).ok().map(Cow::Owned);
        }
        std::str::from_utf8(self.span.of(bytes)).ok().map(Cow::Borrowed)
    }

    /// The name as bytes, decoded only where it must be; keys that cannot be decoded match nothing.
    pub(crate) fn name(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        if !self.escaped {
            return Cow::Borrowed(self.span.of(bytes));
        }
        match self.decode(bytes) {
            Some(name) => Cow::Owned(name.into_owned().into_bytes()),
            None => Cow::Borrowed(self.span.of(bytes)),
        }
    }
}

// === impl Lexer ===

impl Lexer<'_> {
    /// Passes the string literal that starts here.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Text, Fault> {
        self.expect(b'"')?;
        let start = self.at;
        let mut saved = 0;
        let mut escaped = false;
        let mut high_ends = None;
        loop {
            self.at = plain_end(self.bytes, self.at);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    saved += self.escape(&mut high_ends)?;
                }
                _ => return self.syntax(),
            }
        }
        let span = Span { start, end: self.at };
        self.at += 1;
        Ok(Text { span, escaped, decoded_bytes: span.end - span.start - saved })
    }

    /// Passes one escape; returns how many bytes shorter it is once decoded. `high_ends` is where a
    /// high surrogate ended that its low half may follow.
    fn escape(&mut self, high_ends: &mut Option<usize>) -> Result<usize, Fault> {
        let pair = *high_ends == Some(self.at);
        *high_ends = None;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(1)
            }
            Some(b'u') => {
                self.at += 1;
                let code = self.hex4()?;
                match code {
                    0..=0x7f => Ok(5),
                    0x80..=0x7ff => Ok(4),
                    // The high half counted three of the pair's four bytes.
                    0xdc00..=0xdfff if pair => Ok(5),
                    0xd800..=0xdbff => {
                        *high_ends = Some(self.at);
                        Ok(3)
                    }
                    _ => Ok(3),
                }
            }
            _ => self.syntax(),
        }
    }

    fn hex4(&mut self) -> Result<u32, Fault> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else {
                return self.syntax();
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The first quote, backslash or control character at or after `at`, or the end. Eight bytes a step
/// (Mycroft's test; the lowest hit of each term is exact).
#[inline]
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    let tail = bytes.get(at..).unwrap_or_default();
    let (words, rest) = tail.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * b'"' as u64);
        let slash = word ^ (ONES * b'\\' as u64);
        let hits = ((quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash)
            | (word.wrapping_sub(ONES * 0x20) & !word))
            & HIGHS;
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let plain = rest.iter().position(|&byte| matches!(byte, b'"' | b'\\' | 0..0x20));
    at + plain.unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(literal: &str) -> Text {
        Lexer::new(literal.as_bytes()).string().unwrap()
    }

    #[test]
    fn decoded_length_is_the_length_serde_json_decodes() {
        let long = format!("\"{}\\u00e9{}\"", "x".repeat(21), "é".repeat(40));
        for literal in [
            "\"\"",
            "\"plain\"",
            "\"seven77\"",
            "\"eight888\"",
            "\"a\\n\\t\\\"\\\\\\/\\b\\f\\r\"",
            "\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00x\"",
            "\"\\ud83d\\ude00\\ud83d\\ude00\"",
            "\"naïve 😀 text\"",
            long.as_str(),
        ] {
            let decoded: String = serde_json::from_str(literal).unwrap();
            let text = text(literal);
            assert_eq!(text.decoded_bytes, decoded.len(), "{literal}");
            assert_eq!(text.decode(literal.as_bytes()).unwrap(), decoded);
            assert_eq!(text.quoted(), Span { start: 0, end: literal.len() });
        }
    }

    #[test]
    fn lone_surrogates_pass_and_count_as_the_replacement_character() {
        for (literal, length) in [
            ("\"\\ud83d\"", 3),
            ("\"\\ude00\"", 3),
            ("\"\\ud83dx\\ude00\"", 7),
            ("\"\\ud83d\\ud83d\\ude00\"", 7),
        ] {
            let text = text(literal);
            assert_eq!(text.decoded_bytes, length, "{literal}");
            assert_eq!(text.decode(literal.as_bytes()), None);
        }
    }

    #[test]
    fn a_special_byte_is_found_at_every_offset() {
        for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
            for at in 0..40 {
                for filler in [b'a', 0x20, 0x21, 0x23, 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
                    let mut bytes = vec![filler; 40];
                    bytes[at] = special;
                    assert_eq!(plain_end(&bytes, 0), at, "{special} after {filler}");
                }
            }
        }
        assert_eq!(plain_end(b"abc", 0), 3);
    }
}
