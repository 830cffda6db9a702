//! Chat templates: messages, tools and variables of a request to the model's prompt text, as
//! Hugging Face renders them (trimmed blocks, Python's methods and JSON). Owns what of a request is
//! refused before rendering. Tokenises nothing.
//!
//! `strftime_now` is left undefined on purpose: a template that prints today's date would make the
//! same request another prompt tomorrow, and on another node.

mod environment;
mod messages;

use minijinja::{Environment, Value};
use openapi::chat::Request;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::path::Path;

use crate::engine::Error;
use crate::tokenizer::{Error as FileError, Guard, Specials, Tokenizer};

const DEFAULT: &str = "default";
const TOOLS: &str = "tool_use";
/// A rendered prompt larger than this is refused before it is tokenised. Above the body limit.
const RENDERED_BYTES_MAX: usize = 128 << 20;

/// A model's template, compiled. Shared by all requests.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
    specials: Specials,
    has_tools: bool,
    knows_developer: bool,
    /// Of the default template's source, hex.
    sha256: String,
    source: String,
}

/// A prompt's text; with a [`Guard`], special tokens a caller spelled are marked in it.
#[derive(Debug)]
pub struct Rendered<'a> {
    pub text: String,
    pub guard: Guard<'a>,
}

// === impl Template ===

impl Template {
    /// From `chat_template.jinja`, or `chat_template` of `tokenizer_config.json` or
    /// `chat_template.json`, where there is one.
    pub fn from_folder(folder: &Path) -> Result<Option<Self>, FileError> {
        let specials = crate::tokenizer::specials(folder)?;
        let malformed =
            |message: String| FileError::Malformed { file: folder.display().to_string(), message };
        let jinja = crate::tokenizer::bytes(&folder.join("chat_template.jinja"))?;
        if let Some(source) = jinja {
            let source = String::from_utf8_lossy(&source).into_owned();
            return Self::new(source, None, specials).map(Some).map_err(malformed);
        }
        for name in ["tokenizer_config.json", "chat_template.json"] {
            let file = crate::tokenizer::json(&folder.join(name))?;
            let Some(found) = file.as_ref().and_then(|file| file.get("chat_template")) else {
                continue;
            };
            let (default, tools) = sources(found);
            let Some(default) = default.or_else(|| tools.clone()) else { continue };
            return Self::new(default, tools, specials).map(Some).map_err(malformed);
        }
        Ok(None)
    }

    /// `tools`: the template for requests with tools, where it is another one.
    pub fn new(default: String, tools: Option<String>, specials: Specials) -> Result<Self, String> {
        let mut environment = environment::new();
        let source = default.clone();
        let sha256 = hex::encode(Sha256::digest(default.as_bytes()));
        let knows_developer = default.contains("developer");
        let has_tools = tools.is_some();
        environment.add_template_owned(DEFAULT, default).map_err(|error| error.to_string())?;
        if let Some(tools) = tools {
            environment.add_template_owned(TOOLS, tools).map_err(|error| error.to_string())?;
        }
        Ok(Self { environment, specials, has_tools, knows_developer, sha256, source })
    }

    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// The prompt of a chat request, ready for the model's answer. `with_tools`: whether the
    /// request's tools are shown to the model. Errors are the caller's: a message the model cannot
    /// take, or one the template refuses.
    pub fn render<'a>(
        &self,
        request: &Request,
        with_tools: bool,
        tokenizer: &'a Tokenizer,
    ) -> Result<Rendered<'a>, Error> {
        let messages = messages::of(request, self.knows_developer)?;
        let tools = request.tools.as_ref().filter(|tools| with_tools && !tools.is_empty());
        let with_tools = tools.is_some();
        let tools = tools.map(serde_json::to_value).transpose().map_err(internal)?;
        let mut context = request.chat_template_kwargs.clone().unwrap_or_default();
        if let Some(effort) =
            request.extra.get("reasoning_effort").filter(|effort| effort.is_string())
        {
            context.entry("reasoning_effort").or_insert_with(|| effort.clone());
        }
        context.insert("messages".to_owned(), messages);
        context.insert("tools".to_owned(), tools.unwrap_or(Json::Null));
        context.insert("add_generation_prompt".to_owned(), true.into());
        let mut context = Json::Object(context);

        let mut texts = Vec::new();
        collect(&context, &mut texts);
        let guard = tokenizer.guard(texts.into_iter()).ok_or_else(|| Error::Invalid {
            message: "the messages use every one of the noncharacters U+FDD0 to U+FDEF".to_owned(),
            param: Some("messages".to_owned()),
            code: None,
        })?;
        protect(&mut context, &guard);
        if let Json::Object(context) = &mut context {
            // The model's own, so not guarded.
            let specials = self.specials.iter();
            context.extend(specials.map(|(name, token)| (name.clone(), token.as_str().into())));
        }
        let name = if self.has_tools && with_tools { TOOLS } else { DEFAULT };
        let template = self.environment.get_template(name).map_err(internal)?;
        let text = template
            .render(Value::from_serialize(&context))
            .map_err(|error| refused(&error, &guard))?;
        if text.len() > RENDERED_BYTES_MAX {
            return Err(too_long(text.len()));
        }
        Ok(Rendered { text, guard })
    }
}

fn too_long(bytes: usize) -> Error {
    Error::Invalid {
        message: format!("the prompt is {bytes} bytes long, at most {RENDERED_BYTES_MAX}"),
        param: Some("messages".to_owned()),
        code: Some("context_length_exceeded"),
    }
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::Internal(error.to_string())
}

/// What a template says with `raise_exception`, or where it failed, without the caller's text.
fn refused(error: &minijinja::Error, guard: &Guard<'_>) -> Error {
    let message = match error.kind() {
        minijinja::ErrorKind::InvalidOperation => error.detail().unwrap_or("refused").to_owned(),
        kind => format!("{kind} in line {}", error.line().unwrap_or(0)),
    };
    Error::Invalid {
        message: format!("the model's chat template cannot take this: {}", guard.plain(&message)),
        param: Some("messages".to_owned()),
        code: None,
    }
}

/// Every string of a value: keys too, since templates print them.
fn collect<'v>(value: &'v Json, texts: &mut Vec<&'v str>) {
    match value {
        Json::String(text) => texts.push(text),
        Json::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        Json::Object(members) => {
            for (key, value) in members {
                texts.push(key);
                collect(value, texts);
            }
        }
        _ => {}
    }
}

fn protect(value: &mut Json, guard: &Guard<'_>) {
    match value {
        Json::String(text) => {
            if let std::borrow::Cow::Owned(guarded) = guard.text(text) {
                *text = guarded;
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|item| protect(item, guard)),
        Json::Object(members) => {
            if members.keys().any(|key| matches!(guard.text(key), std::borrow::Cow::Owned(_))) {
                let old = std::mem::take(members);
                members.extend(
                    old.into_iter().map(|(key, value)| (guard.text(&key).into_owned(), value)),
                );
            }
            members.values_mut().for_each(|value| protect(value, guard));
        }
        _ => {}
    }
}

/// The default template and the one for tools: a string, or a list of named ones.
fn sources(found: &Json) -> (Option<String>, Option<String>) {
    let named = |name: &str| {
        let list = found.as_array()?;
        let entry =
            list.iter().find(|entry| entry.get("name").and_then(Json::as_str) == Some(name))?;
        entry.get("template")?.as_str().map(str::to_owned)
    };
    match found {
        Json::String(source) => (Some(source.clone()), None),
        _ => (named(DEFAULT), named(TOOLS)),
    }
}

#[cfg(test)]
mod tests;
