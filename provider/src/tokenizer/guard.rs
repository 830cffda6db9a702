//! Keeps a caller's text from becoming control tokens. A text that spells a special token
//! (`<|im_end|>`) gets a sentinel inside that spelling before the template is rendered; afterwards
//! the rendered text is cut at the sentinels and each part tokenised by itself, so no part holds
//! the whole spelling. Texts without such spellings, which is nearly all, pass untouched.

use std::borrow::Cow;

/// Noncharacters: Unicode promises never to assign them.
const SENTINELS: std::ops::RangeInclusive<char> = '\u{FDD0}'..='\u{FDEF}';

/// The special tokens to guard against.
#[derive(Debug)]
pub(super) struct Guarded {
    spellings: Vec<String>,
}

/// One request's guard.
#[derive(Debug)]
pub struct Guard<'a> {
    spellings: &'a [String],
    sentinel: char,
}

// === impl Guarded ===

impl Guarded {
    pub(super) fn new(spellings: impl Iterator<Item = String>) -> Self {
        // One character can't be cut in two; such tokens stay what they are.
        Self { spellings: spellings.filter(|spelling| spelling.chars().count() > 1).collect() }
    }

    /// Picks a sentinel that none of the request's texts holds.
    pub(super) fn guard<'t>(&self, texts: impl Iterator<Item = &'t str>) -> Option<Guard<'_>> {
        let mut used = 0u32;
        for text in texts {
            // All of them begin with this byte, which few texts hold.
            if memchr::memchr(0xEF, text.as_bytes()).is_some() {
                for (at, sentinel) in SENTINELS.enumerate() {
                    used |= u32::from(text.contains(sentinel)) << at;
                }
            }
        }
        let sentinel = SENTINELS.enumerate().find(|(at, _)| used & (1 << at) == 0)?.1;
        Some(Guard { spellings: &self.spellings, sentinel })
    }
}

// === impl Guard ===

impl Guard<'_> {
    /// `text` with a sentinel after the first character of each special token it spells.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let spelled = |at: usize| {
            let rest = text.get(at..).unwrap_or_default();
            self.spellings.iter().any(|spelling| rest.starts_with(spelling.as_str()))
        };
        if !self.spellings.iter().any(|spelling| text.contains(spelling.as_str())) {
            return Cow::Borrowed(text);
        }
        let mut guarded = String::with_capacity(text.len() + 8);
        for (at, c) in text.char_indices() {
            guarded.push(c);
            if spelled(at) {
                guarded.push(self.sentinel);
            }
        }
        Cow::Owned(guarded)
    }

    /// A guarded text as its author wrote it.
    pub fn plain(&self, text: &str) -> String {
        text.replace(self.sentinel, "")
    }

    pub(super) fn parts<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> + use<'t> {
        text.split(self.sentinel).filter(|part| !part.is_empty())
    }
}
