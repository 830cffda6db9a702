//! The grammar of a forced tool call, in the form the model was taught.

use openapi::chat::{FunctionDefinition, Tool};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// How a model writes a tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolForm {
    /// `<tool_call>{"name": …, "arguments": {…}}</tool_call>`: Hermes, Qwen.
    Hermes,
    /// `{"name": …, "parameters": {…}}`: Llama 3.
    Llama,
    /// `[TOOL_CALLS][{"name": …, "arguments": {…}}]`: Mistral.
    Mistral,
}

/// Which tools may be called.
#[derive(Debug)]
pub enum Choice<'a> {
    /// One call or more (one, where `parallel` is false) of any of them.
    Any { tools: &'a [Tool], parallel: bool },
    /// One call of this one.
    One(&'a Tool),
}

// === impl Choice ===

impl<'a> Choice<'a> {
    pub(super) fn functions(&self) -> impl Iterator<Item = &'a FunctionDefinition> + use<'a> {
        let tools = match self {
            Choice::Any { tools, .. } => *tools,
            Choice::One(tool) => std::slice::from_ref(*tool),
        };
        tools.iter().filter_map(|tool| tool.function.as_ref())
    }
}

// === impl ToolForm ===

impl ToolForm {
    /// What a template shows of it. Without a sign: Hermes, the most common.
    pub fn of_template(source: &str) -> Self {
        if source.contains("<tool_call>") {
            Self::Hermes
        } else if source.contains("[TOOL_CALLS]") {
            Self::Mistral
        } else if source.contains("<|python_tag|>") || source.contains(r#""parameters": "#) {
            Self::Llama
        } else {
            Self::Hermes
        }
    }
}

/// Lark for llguidance. `id_of`: the id of a mark that is a token of its own, which is then asked
/// for instead of its letters.
pub(super) fn lark(
    form: ToolForm,
    choice: &Choice<'_>,
    id_of: &dyn Fn(&str) -> Option<u32>,
) -> String {
    let parallel = matches!(choice, Choice::Any { parallel: true, .. });
    let mark = |token: &str| match id_of(token) {
        Some(id) => format!("<[{id}]>"),
        None => literal(token),
    };
    let (arguments, start) = match (form, parallel) {
        (ToolForm::Hermes, false) => ("arguments", "call".to_owned()),
        (ToolForm::Hermes, true) => ("arguments", r#"call ("\n" call)*"#.to_owned()),
        // Llama 3 makes one call an answer.
        (ToolForm::Llama, _) => ("parameters", "call".to_owned()),
        (ToolForm::Mistral, parallel) => {
            let more = if parallel { r#"(", " call)*"# } else { "" };
            ("arguments", format!(r#"{} "[" call {more} "]""#, mark("[TOOL_CALLS]")))
        }
    };
    let call = match form {
        ToolForm::Hermes => {
            format!(r#"{} "\n" body "\n" {}"#, mark("<tool_call>"), mark("</tool_call>"))
        }
        ToolForm::Llama | ToolForm::Mistral => "body".to_owned(),
    };
    let functions: Vec<_> = choice.functions().collect();
    let names: Vec<String> = (0..functions.len()).map(|at| format!("tool_{at}")).collect();
    let mut source = format!("start: {start}\ncall: {call}\nbody: {}\n", names.join(" | "));
    for (at, function) in functions.iter().enumerate() {
        let name = Value::from(function.name.as_str());
        let head = literal(&format!("{{\"name\": {name}, \"{arguments}\": "));
        let _ = writeln!(source, "tool_{at}: {head} args_{at} \"}}\"");
        // A grammar of its own per tool, so that a schema's `#/$defs` stay its own.
        let mut schema = function.parameters.clone().unwrap_or_else(|| json!({"type": "object"}));
        super::tight(&mut schema);
        let _ = writeln!(source, "args_{at}: %json {schema}");
    }
    source
}

fn literal(text: &str) -> String {
    Value::from(text).to_string()
}
