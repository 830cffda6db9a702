//! Grammars: what an answer may be, as a mask over ids. JSON schemas, any JSON object, regular
//! expressions, and forced tool calls. Owns the compiling (a bad grammar fails here, before any
//! engine hears of the job) and the state of one answer; draws nothing itself.
//!
//! JSON is written with `", "` and `": "` and no other white space, unless the schema brings its own
//! `x-guidance`: free white space lets a small model fill an answer with it.

mod bounds;
mod tools;

use bounds::Bounds;
use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};
use toktrie::{SimpleVob, TokEnv};

use crate::engine::{Constraint, Error};
pub use tools::{Choice as ToolChoice, ToolForm};

/// Bytes of a grammar's source. The parser's own limits bound its states and steps.
const SOURCE_BYTES_MAX: usize = 1 << 20;
/// Of a message that goes back to the caller.
const MESSAGE_CHARS_MAX: usize = 300;

/// Compiles grammars for one vocabulary. Shared by all requests.
pub struct Grammars {
    factory: ParserFactory,
}

/// A grammar in the middle of one answer.
pub struct Guide {
    matcher: Matcher,
    /// The member of the request it came from.
    param: &'static str,
}

/// The ids that may come next.
#[derive(Debug)]
pub struct Mask(SimpleVob);

impl std::fmt::Debug for Grammars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grammars").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Guide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guide").field("done", &self.is_done()).finish_non_exhaustive()
    }
}

// === impl Grammars ===

impl Grammars {
    pub fn new(env: &TokEnv) -> Result<Self, String> {
        let mut factory = ParserFactory::new_simple(env).map_err(|error| error.to_string())?;
        // Its messages hold the caller's grammar and text.
        factory.quiet().limits_mut().verbose_errors = false;
        Ok(Self { factory })
    }

    /// Fails with [`Error::Invalid`] that names `response_format`.
    pub fn constraint(&self, constraint: &Constraint) -> Result<Guide, Error> {
        let param = "response_format";
        let mut bounds = Bounds::default();
        let bounded = match constraint {
            Constraint::JsonObject => Ok(()),
            Constraint::JsonSchema(schema) => bounds.schema(schema),
            Constraint::Regex(regex) => bounds.regex(regex),
        };
        bounded.map_err(|message: String| invalid(&message, param))?;
        let (grammar, bytes) = match constraint {
            Constraint::JsonObject => (json_schema(json!({"type": "object"})), 0),
            Constraint::JsonSchema(schema) => {
                (json_schema(schema.clone()), schema.to_string().len())
            }
            Constraint::Regex(regex) => (TopLevelGrammar::from_regex(regex), regex.len()),
        };
        self.compile(grammar, bytes, param)
    }

    /// One call of the named tool, or one or more calls of any of them. `id_of`: the ids of marks
    /// such as `<tool_call>` where they are tokens.
    /// Fails with [`Error::Invalid`] that names `tools`.
    pub fn tool_calls(
        &self,
        form: ToolForm,
        tools: &ToolChoice<'_>,
        id_of: &dyn Fn(&str) -> Option<u32>,
    ) -> Result<Guide, Error> {
        let param = "tools";
        let mut bounds = Bounds::default();
        let mut schemas = tools.functions().filter_map(|function| function.parameters.as_ref());
        let bounded = schemas.try_for_each(|schema| bounds.schema(schema));
        bounded.map_err(|message: String| invalid(&message, param))?;
        let source = tools::lark(form, tools, id_of);
        let bytes = source.len();
        self.compile(TopLevelGrammar::from_lark(source), bytes, param)
    }

    fn compile(
        &self,
        grammar: TopLevelGrammar,
        bytes: usize,
        param: &'static str,
    ) -> Result<Guide, Error> {
        if bytes > SOURCE_BYTES_MAX {
            let message = format!("{bytes} bytes, at most {SOURCE_BYTES_MAX}");
            return Err(invalid(&message, param));
        }
        // A thread of its own: the compiler's recursion would overflow an ordinary one's stack, and
        // that ends the process.
        let compiled = std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().name("grammar".to_owned());
            let builder = builder.stack_size(bounds::STACK_BYTES);
            let thread = builder.spawn_scoped(scope, || self.matcher(grammar))?;
            let panicked = |_| Err("its compilation failed".to_owned());
            Ok::<_, std::io::Error>(thread.join().unwrap_or_else(panicked))
        });
        let compiled = compiled.map_err(|error| Error::Internal(error.to_string()))?;
        let matcher = compiled.map_err(|message| invalid(&message, param))?;
        Ok(Guide { matcher, param })
    }

    fn matcher(&self, grammar: TopLevelGrammar) -> Result<Matcher, String> {
        let mut matcher = Matcher::new(self.factory.create_parser(grammar));
        if let Some(error) = matcher.get_error() {
            return Err(error);
        }
        // The first mask finds what compiling does not: limits passed, nothing allowed.
        let mask = matcher.compute_mask_or_eos().map_err(|error| error.to_string())?;
        if mask.is_zero() {
            return Err("it allows no text".to_owned());
        }
        Ok(matcher)
    }
}

/// The caller's fault, in one line.
fn invalid(message: &str, param: &'static str) -> Error {
    let line = message.lines().next().unwrap_or_default();
    let message: String = line.chars().take(MESSAGE_CHARS_MAX).collect();
    let message = format!("the grammar cannot be used: {message}");
    Error::Invalid { message, param: Some(param.to_owned()), code: None }
}

// === impl Guide ===

impl Guide {
    /// Fails with [`Error::Invalid`] when a step passes the parser's limits: the grammar is too
    /// much, though compiling did not show it.
    pub fn mask(&mut self) -> Result<Mask, Error> {
        let mask = self.matcher.compute_mask_or_eos();
        mask.map(Mask).map_err(|error| invalid(&error.to_string(), self.param))
    }

    /// Takes a token that its mask allowed.
    pub fn accept(&mut self, id: u32) -> Result<(), Error> {
        self.matcher.consume_token(id).map_err(|error| invalid(&error.to_string(), self.param))
    }

    /// Nothing but the end may follow.
    pub fn is_done(&self) -> bool {
        self.matcher.is_stopped()
    }
}

// === impl Mask ===

impl Mask {
    /// Of an id beyond the vocabulary: no.
    pub fn allows(&self, id: u32) -> bool {
        usize::try_from(id).is_ok_and(|at| at < self.0.len() && self.0.get(at))
    }
}

fn json_schema(mut schema: Value) -> TopLevelGrammar {
    tight(&mut schema);
    TopLevelGrammar::from_json_schema(schema)
}

/// See the head of this file.
fn tight(schema: &mut Value) {
    if schema.as_bool() == Some(true) {
        *schema = json!({});
    }
    if let Value::Object(members) = schema {
        members.entry("x-guidance").or_insert_with(
            || json!({"whitespace_flexible": false, "item_separator": ", ", "key_separator": ": "}),
        );
    }
}

#[cfg(test)]
mod tests;
