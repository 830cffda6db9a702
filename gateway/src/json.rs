//! A JSON lexer over bytes that knows where things stand: it finds, checks and skips, and builds
//! nothing. Grammar of RFC 8259, nesting bounded. It does not check UTF-8: callers do, once.

mod text;

pub(crate) use text::Text;

/// Deepest nesting accepted, in requests and in events.
pub(crate) const DEPTH_MAX: u32 = 128;

/// A byte range, end exclusive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not JSON at this offset.
    Syntax(usize),
    /// Nested deeper than [`DEPTH_MAX`].
    Depth,
}

/// What a value is, by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

#[derive(Debug, Clone)]
pub(crate) struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
}

// === impl Span ===

impl Span {
    /// The bytes of `text` it covers; empty where it does not fit.
    pub(crate) fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

// === impl Lexer ===

impl<'a> Lexer<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    /// Stands inside `depth` containers, at `at`.
    pub(crate) fn resume(bytes: &'a [u8], at: usize, depth: u32) -> Self {
        Self { bytes, at, depth }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The bytes under the lexer, all of them.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn syntax<T>(&self) -> Result<T, Fault> {
        Err(Fault::Syntax(self.at))
    }

    pub(crate) fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return self.syntax();
        }
        self.at += 1;
        Ok(())
    }

    /// What stands here; white space must have been passed.
    pub(crate) fn kind(&self) -> Result<Kind, Fault> {
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            _ => self.syntax(),
        }
    }

    /// Enters the object that starts here.
    pub(crate) fn open_object(&mut self) -> Result<(), Fault> {
        self.expect(b'{')?;
        self.enter()
    }

    /// Enters the array that starts here.
    pub(crate) fn open_array(&mut self) -> Result<(), Fault> {
        self.expect(b'[')?;
        self.enter()
    }

    fn enter(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(Fault::Depth) } else { Ok(()) }
    }

    /// The next member's key, with the lexer at its value; `None` after the closing brace. `first` is
    /// true for the first call in an object and the lexer's to change.
    pub(crate) fn member(&mut self, first: &mut bool) -> Result<Option<Text>, Fault> {
        if !self.separator(first, b'}')? {
            return Ok(None);
        }
        let key = self.string()?;
        self.space();
        self.expect(b':')?;
        self.space();
        Ok(Some(key))
    }

    /// Whether an item follows, with the lexer at it. As [`Self::member`], for arrays.
    pub(crate) fn item(&mut self, first: &mut bool) -> Result<bool, Fault> {
        self.separator(first, b']')
    }

    fn separator(&mut self, first: &mut bool, close: u8) -> Result<bool, Fault> {
        self.space();
        let next = self.peek();
        if next == Some(close) {
            self.at += 1;
            self.depth = self.depth.saturating_sub(1);
            return Ok(false);
        }
        if !std::mem::take(first) {
            self.expect(b',')?;
            self.space();
        }
        Ok(true)
    }

    /// Passes the value that starts here, checking all of it.
    #[inline]
    pub(crate) fn skip(&mut self) -> Result<Span, Fault> {
        let start = self.at;
        match self.kind()? {
            Kind::Object => {
                self.open_object()?;
                let mut first = true;
                while self.member(&mut first)?.is_some() {
                    self.skip()?;
                }
            }
            Kind::Array => {
                self.open_array()?;
                let mut first = true;
                while self.item(&mut first)? {
                    self.skip()?;
                }
            }
            Kind::String => {
                self.string()?;
            }
            Kind::Number => self.number()?,
            Kind::Bool if self.peek() == Some(b't') => self.word(b"true")?,
            Kind::Bool => self.word(b"false")?,
            Kind::Null => self.word(b"null")?,
        }
        Ok(Span { start, end: self.at })
    }

    /// After the document: nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        self.space();
        if self.at == self.bytes.len() { Ok(()) } else { self.syntax() }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            return Ok(());
        }
        self.syntax()
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { self.syntax() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn skip(text: &str) -> Result<Span, Fault> {
        let mut lexer = Lexer::new(text.as_bytes());
        lexer.space();
        let span = lexer.skip()?;
        lexer.end()?;
        Ok(span)
    }

    #[test]
    fn grammar_is_the_one_of_serde_json() {
        let cases = [
            "{}",
            "[]",
            "null",
            "true",
            "false",
            "0",
            "-0",
            "1.5e-3",
            "1E+9",
            "\"\"",
            "\"a\\u00e9\"",
            "{\"a\":[1,{\"b\":null}]}",
            " [ 1 , 2 ] ",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "tru",
            "nul",
            "+1",
            "NaN",
            "Infinity",
            "{",
            "[",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{,}",
            "{\"a\":1,}",
            "[1 2]",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\n\"",
            "\"\u{1}\"",
            "\"abc",
            "{} {}",
            "",
            "'a'",
            "{a:1}",
            "[1}",
            "{\"a\":1]",
            "\"\\",
            "\"\\u12",
            "1 x",
            "\u{feff}{}",
        ];
        for text in cases {
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            assert_eq!(skip(text).is_ok(), theirs, "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nest = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(skip(&nest(128)).is_ok());
        assert_eq!(skip(&nest(129)), Err(Fault::Depth));
        assert_eq!(skip(&"[".repeat(200_000)), Err(Fault::Depth));
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::vec((".*", inner), 0..6).prop_map(|members| {
                    serde_json::Value::Object(members.into_iter().collect())
                }),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(7), ..Default::default() })]

        #[test]
        fn any_document_is_passed_whole(value in json()) {
            let text = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(skip(&text), Ok(Span { start: 0, end: text.len() }));
        }

        #[test]
        fn a_broken_document_is_refused_as_serde_json_refuses_it(
            value in json(), at in any::<prop::sample::Index>(), byte in 0u8..128,
        ) {
            let mut text = serde_json::to_string(&value).unwrap().into_bytes();
            let at = at.index(text.len());
            text[at] = byte;
            if let Ok(text) = std::str::from_utf8(&text) {
                let theirs = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
                prop_assert_eq!(skip(text).is_ok(), theirs, "{}", text);
            }
        }
    }
}
