//! Tool calls out of text: Hermes and Qwen (`<tool_call>{…}</tool_call>`), Mistral (`[TOOL_CALLS]`
//! with a list, or `name[ARGS]{…}`), Llama 3 (`<|python_tag|>{…}`, or the object alone). What does
//! not parse is no call, and is shown as text.

use openapi::chat::{FunctionDelta, ToolCallDelta};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Calls of one answer: more than any model makes on purpose.
const CALLS_MAX: usize = 128;

/// How calls are read and named.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    /// The request's tools; a call without a mark must name one of them.
    pub names: Vec<String>,
    /// Whether more than one call may be made.
    pub parallel: bool,
    /// Makes the calls' ids: unique per answer.
    pub salt: String,
}

#[derive(Deserialize)]
struct Written<'a> {
    name: String,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
}

/// The calls `text` is made of, numbered from `first`. `None` when any part of it is no call.
pub(super) fn parse(calls: &Calls, text: &str, first: u32) -> Option<Vec<ToolCallDelta>> {
    let text = text.trim();
    let mut written = if let Some(inner) = text.strip_prefix("<tool_call>") {
        objects(inner.strip_suffix("</tool_call>").unwrap_or(inner))?
    } else if text.starts_with("[TOOL_CALLS]") {
        mistral(text)?
    } else if let Some(inner) = text.strip_prefix("<|python_tag|>") {
        objects(inner)?
    } else {
        let written = objects(text)?;
        written.iter().all(|(name, _)| calls.names.contains(name)).then_some(written)?
    };
    if written.is_empty() || written.len() > CALLS_MAX {
        return None;
    }
    if !calls.parallel {
        written.truncate(1);
    }
    let deltas = (first..).zip(written).map(|(index, (name, arguments))| ToolCallDelta {
        index,
        id: Some(id(&calls.salt, index)),
        kind: Some("function".to_owned()),
        function: Some(FunctionDelta { name: Some(name), arguments: Some(arguments) }),
    });
    Some(deltas.collect())
}

/// Whether text that begins with `{` may be a bare call; `None`: too early to say.
pub(super) fn may_be_bare(calls: &Calls, text: &str) -> Option<bool> {
    if calls.names.is_empty() {
        return Some(false);
    }
    let rest = text.strip_prefix('{')?.trim_start();
    let keys = ["\"name\"", "\"type\"", "\"function\""];
    if keys.iter().any(|key| rest.starts_with(key)) {
        return Some(true);
    }
    if keys.iter().any(|key| key.starts_with(rest)) { None } else { Some(false) }
}

/// An object, a list of them, or several one after another (Llama puts `;` between).
fn objects(text: &str) -> Option<Vec<(String, String)>> {
    let text = text.trim();
    if let Ok(list) = serde_json::from_str::<Vec<Written<'_>>>(text) {
        return list.into_iter().map(call).collect();
    }
    let mut calls = Vec::new();
    for part in text.split(';') {
        // A `;` inside a string cuts an object in two: then the whole is one object, or nothing.
        let Ok(written) = serde_json::from_str::<Written<'_>>(part) else {
            let whole = serde_json::from_str::<Written<'_>>(text).ok()?;
            return Some(vec![call(whole)?]);
        };
        calls.push(call(written)?);
    }
    Some(calls)
}

fn mistral(text: &str) -> Option<Vec<(String, String)>> {
    let mut calls = Vec::new();
    for part in text.split("[TOOL_CALLS]").skip(1) {
        let part = part.trim();
        if part.starts_with(['[', '{']) {
            calls.extend(objects(part)?);
        } else {
            let (name, arguments) = part.split_once("[ARGS]")?;
            let name = name.split("[CALL_ID]").next().unwrap_or_default().trim();
            let arguments: &RawValue = serde_json::from_str(arguments.trim()).ok()?;
            calls.push((name.to_owned(), object(arguments)?));
        }
    }
    Some(calls)
}

fn call(written: Written<'_>) -> Option<(String, String)> {
    if written.name.is_empty() {
        return None;
    }
    let arguments = match written.arguments.or(written.parameters) {
        Some(arguments) => object(arguments)?,
        None => "{}".to_owned(),
    };
    Some((written.name, arguments))
}

/// The text of an object as the model wrote it; also of an object inside a string.
fn object(value: &RawValue) -> Option<String> {
    let text = value.get();
    if text.starts_with('{') {
        return Some(text.to_owned());
    }
    let inner: String = serde_json::from_str(text).ok()?;
    let is_object =
        serde_json::from_str::<&RawValue>(&inner).is_ok_and(|v| v.get().starts_with('{'));
    is_object.then_some(inner)
}

fn id(salt: &str, index: u32) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("quorate tool call id");
    hasher.update(salt.as_bytes()).update(&index.to_le_bytes());
    let hash = hasher.finalize().to_hex();
    format!("call_{}", hash.get(..24).unwrap_or_default())
}
