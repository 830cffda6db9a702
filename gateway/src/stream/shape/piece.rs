//! One member that should be text: it may be absent, null, or something else.

use crate::json::{Fault, Kind, Lexer, Span, Text};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Piece {
    #[default]
    Absent,
    Null(Span),
    Text(Text),
    /// A list, an object, a number, a truth value.
    Other(Span),
}

// === impl Piece ===

impl Piece {
    #[inline]
    pub(crate) fn read(lexer: &mut Lexer<'_>) -> Result<Self, Fault> {
        Ok(match lexer.kind()? {
            Kind::String => Self::Text(lexer.string()?),
            Kind::Null => Self::Null(lexer.skip()?),
            _ => Self::Other(lexer.skip()?),
        })
    }

    /// The text, if it is text and not empty.
    pub(crate) fn text(self) -> Option<Text> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// Carries something: text that is not empty, or a list or object that is not.
    pub(crate) fn carries(self) -> bool {
        match self {
            Self::Absent | Self::Null(_) => false,
            Self::Text(text) => !text.is_empty(),
            Self::Other(span) => span.end - span.start > 2,
        }
    }

    /// UTF-8 bytes of text once decoded.
    pub(crate) fn decoded_bytes(self) -> usize {
        match self {
            Self::Text(text) => text.decoded_bytes,
            _ => 0,
        }
    }
}

/// A whole number that fits, as JSON text.
pub(crate) fn integer(text: &[u8]) -> Option<u32> {
    match text {
        [digit @ b'0'..=b'9'] => Some(u32::from(digit - b'0')),
        _ => std::str::from_utf8(text).ok()?.parse().ok(),
    }
}
