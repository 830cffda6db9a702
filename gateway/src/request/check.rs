//! The members acted on, checked: type, range, and that none is there twice. A provider that read the
//! other of two doubled members would run what was never authorised.

use std::borrow::Cow;

use super::Error;
use super::probe::Spot;
use crate::json::{Kind, Span, Text};

/// Bytes of a model's name.
const MODEL_BYTES_MAX: usize = 512;
/// Entries of `models`.
const MODELS_MAX: usize = 16;
/// `n`.
const CHOICES_MAX: u64 = 128;

/// One member, while it is checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) name: &'a str,
    pub(super) kind: Kind,
    /// As JSON.
    pub(super) text: &'a str,
    pub(super) span: Span,
    /// Where its key's quote stands.
    pub(super) key: usize,
}

fn is_model(name: &str) -> bool {
    (1..=MODEL_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
}

// === impl Value ===

impl<'a> Value<'a> {
    fn wrong(&self, expected: &str) -> Error {
        let found = match self.kind {
            Kind::Object => "an object",
            Kind::Array => "an array",
            Kind::String => "a string",
            Kind::Number => "a number",
            Kind::Bool => "a boolean",
            Kind::Null => "null",
        };
        let name = self.name;
        Error::member(name, format!("Invalid type for '{name}': expected {expected}, got {found}."))
    }

    fn out_of_range(&self, expected: &str) -> Error {
        let name = self.name;
        Error::member(name, format!("Invalid value for '{name}': expected {expected}."))
    }

    pub(super) fn spot(&self) -> Spot {
        Spot { key: self.key, value: self.span }
    }

    pub(super) fn is_null(&self) -> bool {
        self.kind == Kind::Null
    }

    pub(super) fn model(&self) -> Result<Cow<'a, str>, Error> {
        let model = self.string()?;
        if !is_model(&model) {
            return Err(self.out_of_range(&format!(
                "1 to {MODEL_BYTES_MAX} bytes without control characters"
            )));
        }
        Ok(model)
    }

    pub(super) fn string(&self) -> Result<Cow<'a, str>, Error> {
        if self.kind != Kind::String {
            return Err(self.wrong("a string"));
        }
        let bytes = self.text.as_bytes();
        let span = Span { start: 1, end: bytes.len().saturating_sub(1) };
        let escaped = span.of(bytes).contains(&b'\\');
        let text = Text { span, escaped, ..Text::default() };
        text.decode(bytes).ok_or_else(|| self.out_of_range("text without lone surrogates"))
    }

    /// Names of models; null is none.
    pub(super) fn models(&self) -> Result<Vec<String>, Error> {
        if self.is_null() {
            return Ok(Vec::new());
        }
        let Ok(models) = serde_json::from_str::<Vec<String>>(self.text) else {
            return Err(self.wrong("an array of strings"));
        };
        if models.len() > MODELS_MAX || !models.iter().all(|model| is_model(model)) {
            return Err(self.out_of_range(&format!(
                "at most {MODELS_MAX} names of 1 to {MODEL_BYTES_MAX} bytes without control characters"
            )));
        }
        Ok(models)
    }

    pub(super) fn bool_or_null(&self) -> Result<bool, Error> {
        match self.kind {
            Kind::Bool => Ok(self.text == "true"),
            Kind::Null => Ok(false),
            _ => Err(self.wrong("a boolean")),
        }
    }

    pub(super) fn object_or_null(&self) -> Result<bool, Error> {
        match self.kind {
            Kind::Object => Ok(true),
            Kind::Null => Ok(false),
            _ => Err(self.wrong("an object")),
        }
    }

    pub(super) fn choices(&self) -> Result<u32, Error> {
        let count = self.integer(1, CHOICES_MAX)?.unwrap_or(1);
        Ok(u32::try_from(count).unwrap_or(1))
    }

    /// A whole number in the range; null is `None`.
    pub(super) fn integer(&self, min: u64, max: u64) -> Result<Option<u64>, Error> {
        match self.kind {
            Kind::Null => Ok(None),
            Kind::Number => match self.text.parse::<u64>() {
                Ok(number) if (min..=max).contains(&number) => Ok(Some(number)),
                _ if max == u64::MAX => {
                    Err(self.out_of_range(&format!("an integer of at least {min}")))
                }
                _ => Err(self.out_of_range(&format!("an integer from {min} to {max}"))),
            },
            _ => Err(self.wrong("an integer")),
        }
    }

    pub(super) fn seed(&self) -> Result<Option<i64>, Error> {
        match self.kind {
            Kind::Null => Ok(None),
            Kind::Number => match self.text.parse() {
                Ok(seed) => Ok(Some(seed)),
                Err(_) => Err(self.out_of_range("a 64-bit signed integer")),
            },
            _ => Err(self.wrong("an integer")),
        }
    }

    /// A finite number.
    pub(super) fn number(&self) -> Result<Option<f64>, Error> {
        match self.kind {
            Kind::Null => Ok(None),
            Kind::Number => match self.text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Some(number)),
                _ => Err(self.out_of_range("a number that fits 64-bit floating point")),
            },
            _ => Err(self.wrong("a number")),
        }
    }
}
