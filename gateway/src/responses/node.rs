//! A JSON value where it stands in the request: its text and what it is. Objects that are looked into
//! may not name a member twice, since whoever reads the other one reads another request.

use std::borrow::Cow;
use std::collections::HashSet;

use super::Error;
use crate::json::{Fault, Kind, Lexer};

/// Of a list that is looked into: a few bytes of the request become many here.
const ITEMS_MAX: usize = 1 << 16;
/// Of an object that is looked into; what is inside tools' schemas is not.
const MEMBERS_MAX: usize = 1024;

#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a> {
    /// JSON, as it was written.
    pub(super) text: &'a str,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) struct Member<'a> {
    pub(super) name: Cow<'a, str>,
    /// The name as it was written, with its quotes.
    pub(super) key: &'a str,
    pub(super) value: Node<'a>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Object<'a>(Vec<Member<'a>>);

// === impl Node ===

impl<'a> Node<'a> {
    /// The one value of a text that is known to be JSON.
    pub(super) fn document(text: &'a str) -> Result<Self, Fault> {
        let mut lexer = Lexer::new(text.as_bytes());
        lexer.space();
        let node = Self::next(&mut lexer, text)?;
        lexer.end()?;
        Ok(node)
    }

    fn next(lexer: &mut Lexer<'a>, text: &'a str) -> Result<Self, Fault> {
        let kind = lexer.kind()?;
        let span = lexer.skip()?;
        Ok(Self { text: text.get(span.start..span.end).unwrap_or_default(), kind })
    }

    pub(super) fn is_null(self) -> bool {
        self.kind == Kind::Null
    }

    pub(super) fn is_true(self) -> bool {
        self.text == "true"
    }

    fn found(self) -> &'static str {
        match self.kind {
            Kind::Object => "an object",
            Kind::Array => "an array",
            Kind::String => "a string",
            Kind::Number => "a number",
            Kind::Bool => "a boolean",
            Kind::Null => "null",
        }
    }

    pub(super) fn wrong(self, at: &str, expected: &str) -> Error {
        Error::wrong_type(at, expected, self.found())
    }

    /// The same, if it is of this kind.
    pub(super) fn of(self, kind: Kind, at: &str, expected: &str) -> Result<Self, Error> {
        if self.kind == kind { Ok(self) } else { Err(self.wrong(at, expected)) }
    }

    pub(super) fn string(self, at: &str) -> Result<Cow<'a, str>, Error> {
        self.of(Kind::String, at, "a string")?;
        let inner = self.text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        match inner {
            Some(inner) if !inner.contains('\\') => Ok(Cow::Borrowed(inner)),
            _ => serde_json::from_str(self.text)
                .map(Cow::Owned)
                .map_err(|_| Error::invalid(at, "text without lone surrogates")),
        }
    }

    pub(super) fn bool(self, at: &str) -> Result<bool, Error> {
        self.of(Kind::Bool, at, "a boolean").map(Self::is_true)
    }

    pub(super) fn integer(self, at: &str, min: u64, max: u64) -> Result<u64, Error> {
        self.of(Kind::Number, at, "an integer")?;
        let number = self.text.parse().ok().filter(|number| (min..=max).contains(number));
        number.ok_or_else(|| match max {
            u64::MAX => Error::invalid(at, &format!("an integer of at least {min}")),
            _ => Error::invalid(at, &format!("an integer from {min} to {max}")),
        })
    }

    /// A finite number.
    pub(super) fn number(self, at: &str) -> Result<Self, Error> {
        self.of(Kind::Number, at, "a number")?;
        match self.text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(self),
            _ => Err(Error::invalid(at, "a number that fits 64-bit floating point")),
        }
    }

    pub(super) fn items(self, at: &str) -> Result<Vec<Self>, Error> {
        self.of(Kind::Array, at, "an array")?;
        let items = self.read_items().map_err(|_| broken(at))?;
        if items.len() > ITEMS_MAX { Err(Error::too_many_items(at, ITEMS_MAX)) } else { Ok(items) }
    }

    fn read_items(self) -> Result<Vec<Self>, Fault> {
        let mut lexer = Lexer::new(self.text.as_bytes());
        lexer.open_array()?;
        let (mut first, mut items) = (true, Vec::new());
        while items.len() <= ITEMS_MAX && lexer.item(&mut first)? {
            items.push(Self::next(&mut lexer, self.text)?);
        }
        Ok(items)
    }

    pub(super) fn object(self, at: &str) -> Result<Object<'a>, Error> {
        self.of(Kind::Object, at, "an object")?;
        let members = self.read_members().map_err(|_| broken(at))?;
        if members.len() > MEMBERS_MAX {
            return Err(Error::too_many_members(at, MEMBERS_MAX));
        }
        let mut seen = HashSet::with_capacity(members.len());
        for member in &members {
            if !seen.insert(&*member.name) {
                let param = inside(at, &member.name);
                let message = format!("Invalid request: '{param}' is there twice.");
                return Err(Error::at(param, message));
            }
        }
        Ok(Object(members))
    }

    fn read_members(self) -> Result<Vec<Member<'a>>, Fault> {
        let bytes = self.text.as_bytes();
        let mut lexer = Lexer::new(bytes);
        lexer.open_object()?;
        let (mut first, mut members) = (true, Vec::new());
        while members.len() <= MEMBERS_MAX
            && let Some(key) = lexer.member(&mut first)?
        {
            let name = match key.name(bytes) {
                Cow::Borrowed(name) => String::from_utf8_lossy(name),
                Cow::Owned(name) => Cow::Owned(String::from_utf8_lossy(&name).into_owned()),
            };
            let quoted = key.quoted();
            let key = self.text.get(quoted.start..quoted.end).unwrap_or_default();
            members.push(Member { name, key, value: Self::next(&mut lexer, self.text)? });
        }
        Ok(members)
    }
}

// === impl Object ===

impl<'a> Object<'a> {
    /// A member that is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<Node<'a>> {
        let member = self.0.iter().find(|member| member.name == name)?;
        (!member.value.is_null()).then_some(member.value)
    }

    pub(super) fn need(&self, at: &str, name: &str) -> Result<Node<'a>, Error> {
        self.get(name).ok_or_else(|| Error::missing(inside(at, name)))
    }

    pub(super) fn members(&self) -> &[Member<'a>] {
        &self.0
    }

    /// The text of a string that must be there, as JSON.
    pub(super) fn need_text(&self, at: &str, name: &str) -> Result<&'a str, Error> {
        let node = self.need(at, name)?;
        Ok(node.of(Kind::String, &inside(at, name), "a string")?.text)
    }

    /// `type`, decoded; `None` where there is none.
    pub(super) fn kind(&self, at: &str) -> Result<Option<Cow<'a, str>>, Error> {
        self.get("type").map(|kind| kind.string(&inside(at, "type"))).transpose()
    }

    pub(super) fn need_kind(&self, at: &str) -> Result<Cow<'a, str>, Error> {
        self.kind(at)?.ok_or_else(|| Error::missing(inside(at, "type")))
    }
}

/// The path of a member.
pub(super) fn inside(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

/// Cannot happen: the whole text was read before.
fn broken(at: &str) -> Error {
    Error::at(at, "The request body is not valid JSON.")
}
