//! One entry of `choices`, of a chunk (`delta`), a whole answer (`message`) or either of legacy
//! completions (`text`).

use super::Tool;
use super::piece::{Piece, integer};
use crate::json::{Fault, Kind, Lexer, Span};

/// Entries of `tool_calls` in one event of one choice.
const TOOLS_MAX: usize = 128;

/// What a choice holds its text in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Form {
    #[default]
    Delta,
    Message,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) form: Form,
    pub(crate) span: Span,
    /// Right after the opening brace.
    pub(crate) open: usize,
    pub(crate) index: Option<u32>,
    /// Where `index` stands, a number or not.
    pub(crate) index_value: Option<Span>,
    pub(crate) finish: Piece,
    pub(crate) logprobs: Piece,
    /// Legacy completions.
    pub(crate) text: Piece,
    /// The delta object, or the message.
    pub(crate) delta: Option<Span>,
    /// The same where it is no object.
    pub(crate) delta_other: Option<Span>,
    pub(crate) role: Piece,
    pub(crate) content: Piece,
    pub(crate) reasoning: Piece,
    pub(crate) reasoning_content: Piece,
    pub(crate) refusal: Piece,
    pub(crate) function_name: Piece,
    pub(crate) function_arguments: Piece,
    pub(crate) tools: Vec<Tool>,
    /// Key and value of a `tool_calls` that is null or an empty list.
    pub(crate) no_tools: Option<Span>,
    /// The choice has members beside these.
    pub(crate) extra: bool,
    /// The delta has members beside these.
    pub(crate) delta_extra: bool,
}

// === impl Form ===

impl Form {
    /// The member's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Delta => "delta",
            Self::Message => "message",
        }
    }
}

// === impl Choice ===

impl Choice {
    /// Reads the object that starts here, in the memory of one read before.
    pub(crate) fn read(&mut self, lexer: &mut Lexer<'_>, form: Form) -> Result<(), Fault> {
        let start = lexer.at();
        lexer.open_object()?;
        let mut tools = std::mem::take(&mut self.tools);
        tools.clear();
        *self = Self { form, open: lexer.at(), tools, ..Self::default() };
        let mut first = true;
        while let Some(key) = lexer.member(&mut first)? {
            match &*key.name(lexer.bytes()) {
                b"index" => {
                    let value = lexer.skip()?;
                    self.index = integer(value.of(lexer.bytes()));
                    self.index_value = Some(value);
                }
                b"finish_reason" => self.finish = Piece::read(lexer)?,
                b"logprobs" => self.logprobs = Piece::read(lexer)?,
                b"text" => self.text = Piece::read(lexer)?,
                name if name == form.name().as_bytes() => match lexer.kind()? {
                    Kind::Object => self.read_delta(lexer)?,
                    _ => self.delta_other = Some(lexer.skip()?),
                },
                _ => {
                    lexer.skip()?;
                    self.extra = true;
                }
            }
        }
        self.span = Span { start, end: lexer.at() };
        Ok(())
    }

    fn read_delta(&mut self, lexer: &mut Lexer<'_>) -> Result<(), Fault> {
        let start = lexer.at();
        lexer.open_object()?;
        let mut first = true;
        while let Some(key) = lexer.member(&mut first)? {
            match &*key.name(lexer.bytes()) {
                b"content" => self.content = Piece::read(lexer)?,
                b"role" => self.role = Piece::read(lexer)?,
                b"reasoning_content" => self.reasoning_content = Piece::read(lexer)?,
                b"reasoning" => self.reasoning = Piece::read(lexer)?,
                b"refusal" => self.refusal = Piece::read(lexer)?,
                b"tool_calls" => self.read_calls(lexer, key.quoted().start)?,
                b"function_call" if lexer.kind()? == Kind::Object => self.read_function(lexer)?,
                b"function_call" => {
                    lexer.skip()?;
                }
                _ => {
                    lexer.skip()?;
                    self.delta_extra = true;
                }
            }
        }
        self.delta = Some(Span { start, end: lexer.at() });
        Ok(())
    }

    fn read_calls(&mut self, lexer: &mut Lexer<'_>, key: usize) -> Result<(), Fault> {
        let (start, kind) = (lexer.at(), lexer.kind()?);
        if kind == Kind::Array {
            self.read_tools(lexer)?;
        } else {
            lexer.skip()?;
        }
        let value = Span { start, end: lexer.at() };
        let is_empty = kind == Kind::Null
            || matches!(value.of(lexer.bytes()), [b'[', space @ .., b']'] if space.trim_ascii().is_empty());
        self.no_tools = is_empty.then_some(Span { start: key, end: value.end });
        Ok(())
    }

    fn read_tools(&mut self, lexer: &mut Lexer<'_>) -> Result<(), Fault> {
        lexer.open_array()?;
        let mut first = true;
        while lexer.item(&mut first)? {
            if self.tools.len() == TOOLS_MAX {
                return Err(Fault::Syntax(lexer.at()));
            }
            if lexer.kind()? == Kind::Object {
                self.tools.push(Tool::read(lexer)?);
            } else {
                lexer.skip()?;
            }
        }
        Ok(())
    }

    fn read_function(&mut self, lexer: &mut Lexer<'_>) -> Result<(), Fault> {
        lexer.open_object()?;
        let mut first = true;
        while let Some(key) = lexer.member(&mut first)? {
            match &*key.name(lexer.bytes()) {
                b"name" => self.function_name = Piece::read(lexer)?,
                b"arguments" => self.function_arguments = Piece::read(lexer)?,
                _ => {
                    lexer.skip()?;
                }
            }
        }
        Ok(())
    }

    /// What the model reasoned, under whichever name; both names carry the same text.
    pub(crate) fn reasoned(&self) -> Piece {
        if self.reasoning_content.carries() { self.reasoning_content } else { self.reasoning }
    }

    /// Carries a call, of tools or of the old functions.
    pub(crate) fn calls(&self) -> bool {
        !self.tools.is_empty() || self.function_name.carries() || self.function_arguments.carries()
    }

    /// Carries generated text or a call.
    pub(crate) fn carries(&self) -> bool {
        [self.content, self.text, self.refusal, self.reasoning, self.reasoning_content]
            .iter()
            .any(|piece| piece.carries())
            || self.calls()
    }

    /// Decoded UTF-8 bytes of what was generated.
    pub(crate) fn text_bytes(&self) -> u64 {
        let pieces =
            [self.content, self.text, self.refusal, self.reasoned(), self.function_arguments];
        let arguments = self.tools.iter().map(|tool| tool.arguments);
        pieces.into_iter().chain(arguments).map(|piece| piece.decoded_bytes() as u64).sum()
    }
}
