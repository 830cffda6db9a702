//! One entry of a delta's `tool_calls`.

use super::piece::{Piece, integer};
use crate::json::{Fault, Kind, Lexer, Span};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tool {
    pub(crate) span: Span,
    /// Right after the opening brace.
    pub(crate) open: usize,
    pub(crate) index: Option<u32>,
    /// Where `index` stands, a number or not.
    pub(crate) index_value: Option<Span>,
    pub(crate) id: Piece,
    pub(crate) kind: Piece,
    pub(crate) name: Piece,
    pub(crate) arguments: Piece,
    /// It has members beside these.
    pub(crate) extra: bool,
}

// === impl Tool ===

impl Tool {
    /// Reads the object that starts here.
    pub(crate) fn read(lexer: &mut Lexer<'_>) -> Result<Self, Fault> {
        let start = lexer.at();
        lexer.open_object()?;
        let mut tool = Self { open: lexer.at(), ..Self::default() };
        let mut first = true;
        while let Some(key) = lexer.member(&mut first)? {
            match &*key.name(lexer.bytes()) {
                b"index" => {
                    let value = lexer.skip()?;
                    tool.index = integer(value.of(lexer.bytes()));
                    tool.index_value = Some(value);
                }
                b"id" => tool.id = Piece::read(lexer)?,
                b"type" => tool.kind = Piece::read(lexer)?,
                b"function" if lexer.kind()? == Kind::Object => tool.function(lexer)?,
                _ => {
                    lexer.skip()?;
                    tool.extra = true;
                }
            }
        }
        tool.span = Span { start, end: lexer.at() };
        Ok(tool)
    }

    fn function(&mut self, lexer: &mut Lexer<'_>) -> Result<(), Fault> {
        lexer.open_object()?;
        let mut first = true;
        while let Some(key) = lexer.member(&mut first)? {
            match &*key.name(lexer.bytes()) {
                b"name" => self.name = Piece::read(lexer)?,
                b"arguments" => self.arguments = Piece::read(lexer)?,
                _ => {
                    lexer.skip()?;
                }
            }
        }
        Ok(())
    }
}
