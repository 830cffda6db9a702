//! Where the members of a chunk stand that the relay acts on: a shallow reading that checks all of
//! the JSON, decodes nothing and remembers the bytes every event of a stream begins with.

mod choice;
mod piece;
mod tool;

pub(crate) use choice::{Choice, Form};
pub(crate) use piece::Piece;
pub(crate) use tool::Tool;

use smallvec::SmallVec;

use crate::json::{Fault, Kind, Lexer, Span};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Id,
    Object,
    Created,
    Model,
    Usage,
    ServiceTier,
    Error,
}

/// Choices of one event: `n` is at most 128.
const CHOICES_MAX: usize = 128;
/// Members of one event that are acted on, doubled ones counted.
const MEMBERS_MAX: usize = 64;

/// A top-level member; doubled ones are all listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: Name,
    /// Where its key's quote stands.
    pub(crate) key: usize,
    pub(crate) kind: Kind,
    pub(crate) value: Span,
}

/// The reading of one event, kept from event to event for its memory and its prefix.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// Right after the opening brace.
    pub(crate) open: usize,
    pub(crate) members: SmallVec<[Member; 6]>,
    /// `choices` is there, as a list.
    pub(crate) has_choices: bool,
    /// What a choice holds its text in.
    form: Form,
    /// The first `live` are this event's; the others are memory.
    choices: SmallVec<[Choice; 1]>,
    live: usize,
    /// The first members up to `choices` were, byte for byte, those of the event before.
    pub(crate) repeated: bool,
    /// Everything up to the value of `choices`, and how many of `members` lie in it.
    prefix: Vec<u8>,
    prefix_members: usize,
}

// === impl Shape ===

impl Shape {
    /// For a whole answer in place of a chunk.
    pub(crate) fn whole() -> Self {
        Self { form: Form::Message, ..Self::default() }
    }

    /// Members that lie before `choices` in a [`Self::repeated`] event.
    pub(crate) fn prefix_members(&self) -> usize {
        self.prefix_members
    }

    pub(crate) fn choices(&self) -> &[Choice] {
        self.choices.get(..self.live).unwrap_or_default()
    }

    pub(crate) fn choices_mut(&mut self) -> &mut [Choice] {
        self.choices.get_mut(..self.live).unwrap_or_default()
    }

    /// Reads one event's JSON.
    pub(crate) fn read(&mut self, json: &[u8]) -> Result<(), Fault> {
        self.live = 0;
        self.has_choices = false;
        self.repeated = !self.prefix.is_empty() && json.starts_with(&self.prefix);
        if self.repeated {
            self.members.truncate(self.prefix_members);
            let mut lexer = Lexer::resume(json, self.prefix.len(), 1);
            self.read_choices(&mut lexer)?;
            self.read_members(&mut lexer, false)?;
            return Ok(());
        }
        self.prefix.clear();
        self.members.clear();
        let mut lexer = Lexer::new(json);
        lexer.space();
        lexer.open_object()?;
        self.open = lexer.at();
        let choices_at = self.read_members(&mut lexer, true)?;
        if let Some(at) = choices_at {
            self.remember(json, at);
        }
        Ok(())
    }

    /// Reads members up to the end of the document; returns where the value of the first `choices` is.
    fn read_members(
        &mut self,
        lexer: &mut Lexer<'_>,
        mut first: bool,
    ) -> Result<Option<usize>, Fault> {
        let mut choices_at = None;
        while let Some(key) = lexer.member(&mut first)? {
            let name = match &*key.name(lexer.bytes()) {
                b"choices" => {
                    choices_at = choices_at.or(Some(lexer.at()));
                    self.read_choices(lexer)?;
                    continue;
                }
                b"id" => Name::Id,
                b"object" => Name::Object,
                b"created" => Name::Created,
                b"model" => Name::Model,
                b"usage" => Name::Usage,
                b"service_tier" => Name::ServiceTier,
                b"error" => Name::Error,
                _ => {
                    lexer.skip()?;
                    continue;
                }
            };
            if self.members.len() == MEMBERS_MAX {
                return Err(Fault::Syntax(lexer.at()));
            }
            let kind = lexer.kind()?;
            let value = lexer.skip()?;
            self.members.push(Member { name, key: key.quoted().start, kind, value });
        }
        lexer.end()?;
        Ok(choices_at)
    }

    fn read_choices(&mut self, lexer: &mut Lexer<'_>) -> Result<(), Fault> {
        self.live = 0;
        self.has_choices = lexer.kind()? == Kind::Array;
        if !self.has_choices {
            lexer.skip()?;
            return Ok(());
        }
        lexer.open_array()?;
        let mut first = true;
        while lexer.item(&mut first)? {
            if lexer.kind()? != Kind::Object {
                lexer.skip()?;
                continue;
            }
            if self.live == CHOICES_MAX {
                return Err(Fault::Syntax(lexer.at()));
            }
            if self.live == self.choices.len() {
                self.choices.push(Choice::default());
            }
            if let Some(choice) = self.choices.get_mut(self.live) {
                choice.read(lexer, self.form)?;
                self.live += 1;
            }
        }
        Ok(())
    }

    /// Keeps what stands before `choices`, unless something in it may not be taken for granted.
    fn remember(&mut self, json: &[u8], at: usize) {
        let before = self.members.iter().take_while(|member| member.value.end <= at);
        let mut members = 0;
        for member in before {
            if matches!(member.name, Name::Usage | Name::Error) && member.kind != Kind::Null {
                return;
            }
            members += 1;
        }
        self.prefix_members = members;
        self.prefix.extend_from_slice(json.get(..at).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<String> {
        let head =
            r#"{"id":"a","object":"chat.completion.chunk","created":1,"model":"m","choices":"#;
        vec![
            format!(
                r#"{head}[{{"index":0,"delta":{{"role":"assistant","content":""}},"finish_reason":null}}]}}"#
            ),
            format!(
                r#"{head}[{{"index":0,"delta":{{"content":"x"}},"finish_reason":null}}],"usage":null}}"#
            ),
            format!(r#"{head}[],"usage":{{"prompt_tokens":1}}}}"#),
            format!(
                r#"{head}[{{"index":1,"delta":{{"tool_calls":[{{"index":0,"id":"c","function":{{"name":"f","arguments":"{{}}"}}}}]}},"finish_reason":"stop"}}],"model":"other"}}"#
            ),
            r#"{"choices":[{"index":0,"text":"y"}],"id":"b"}"#.to_owned(),
            r#"{"choices":[{"index":0,"text":"z"}],"id":"c"}"#.to_owned(),
        ]
    }

    #[test]
    fn a_repeated_prefix_reads_as_a_fresh_one_does() {
        let mut kept = Shape::default();
        let mut repeats = 0;
        for event in events() {
            let mut fresh = Shape::default();
            fresh.read(event.as_bytes()).unwrap();
            kept.read(event.as_bytes()).unwrap();
            repeats += u32::from(kept.repeated);
            assert_eq!(kept.members, fresh.members, "{event}");
            assert_eq!(kept.choices(), fresh.choices(), "{event}");
            assert_eq!((kept.open, kept.has_choices), (fresh.open, fresh.has_choices));
        }
        assert_eq!(repeats, 4);
    }

    #[test]
    fn a_prefix_with_usage_or_error_is_never_remembered() {
        for event in [r#"{"usage":{"a":1},"choices":[]}"#, r#"{"error":"x","choices":[]}"#] {
            let mut shape = Shape::default();
            shape.read(event.as_bytes()).unwrap();
            shape.read(event.as_bytes()).unwrap();
            assert!(!shape.repeated, "{event}");
        }
    }

    #[test]
    fn an_escaped_key_is_the_key_it_means() {
        let mut shape = Shape::default();
        shape.read(br#"{"mod\u0065l":"m","choices":[]}"#).unwrap();
        assert_eq!(shape.members[0].name, Name::Model);
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        for event in ["[]", "1", "", "{", r#"{"choices":[}"#, "{} x", "null"] {
            assert!(Shape::default().read(event.as_bytes()).is_err(), "{event}");
        }
    }
}
