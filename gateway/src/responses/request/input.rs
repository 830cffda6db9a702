//! `instructions` and `input` as messages. What one turn of the assistant left behind, its reasoning,
//! its text and its calls, is several items here and one message there.

use crate::json::Kind;
use crate::responses::Error;
use crate::responses::node::{Node, Object, inside};
use crate::responses::origin::{Origin, Origins};
use crate::responses::print::{ObjectOut, array, quoted};

use super::part;

const ROLES: [&str; 4] = ["user", "assistant", "system", "developer"];
/// What an item says about itself and chat has no place for.
const OF_THE_ITEM: [&str; 6] = ["type", "role", "content", "id", "status", "phase"];

/// The messages, and where they came from.
#[derive(Debug)]
pub(super) struct Messages {
    /// A JSON array.
    pub(super) json: String,
    pub(super) origins: Origins,
}

#[derive(Default)]
struct Builder {
    messages: Vec<String>,
    origins: Origins,
    turn: Option<Turn>,
}

/// The assistant's message, as far as it was read.
#[derive(Default)]
struct Turn {
    item: String,
    reasoning: String,
    content: Option<String>,
    /// Members of its message item that are not known here.
    kept: Vec<(String, String)>,
    calls: Vec<String>,
    call_items: Vec<String>,
}

pub(super) fn messages(request: &Object<'_>) -> Result<Messages, Error> {
    let mut builder = Builder::default();
    if let Some(instructions) = request.get("instructions") {
        let text = instructions.of(Kind::String, "instructions", "a string")?.text;
        builder.push("system", text, "instructions", "", &[]);
    }
    let input = request.need("", "input")?;
    match input.kind {
        Kind::String => builder.push("user", input.text, "input", "", &[]),
        Kind::Array => {
            for (number, item) in input.items("input")?.into_iter().enumerate() {
                builder.item(item, format!("input[{number}]"))?;
            }
            builder.close_turn();
        }
        _ => return Err(input.wrong("input", "a string or an array of items")),
    }
    if builder.messages.is_empty() {
        return Err(Error::invalid("input", "at least one item that says something"));
    }
    Ok(Messages { json: array(&builder.messages), origins: builder.origins })
}

// === impl Builder ===

impl Builder {
    fn item(&mut self, node: Node<'_>, at: String) -> Result<(), Error> {
        let item = node.object(&at)?;
        match item.kind(&at)?.as_deref() {
            None | Some("message") => self.message(&item, at),
            Some("function_call") => self.call(&item, at),
            Some("function_call_output") => self.output(&item, &at),
            Some("reasoning") => self.reasoning(&item, at),
            Some("item_reference") => {
                let why = "Items are not stored here: send the item itself.";
                Err(Error::unsupported(&at, why))
            }
            Some(_) => Err(Error::invalid(
                &inside(&at, "type"),
                "'message', 'function_call', 'function_call_output' or 'reasoning'; \
                 the server runs no tools and stores no items",
            )),
        }
    }

    fn message(&mut self, item: &Object<'_>, at: String) -> Result<(), Error> {
        let role = item.need(&at, "role")?.string(&inside(&at, "role"))?;
        if !ROLES.contains(&&*role) {
            let expected = "'user', 'assistant', 'system' or 'developer'";
            return Err(Error::invalid(&inside(&at, "role"), expected));
        }
        let content = part::content(item.need(&at, "content")?, &inside(&at, "content"))?;
        let kept: Vec<(String, String)> = item
            .members()
            .iter()
            .filter(|member| !OF_THE_ITEM.contains(&&*member.name))
            .map(|member| (member.key.to_owned(), member.value.text.to_owned()))
            .collect();
        if role != "assistant" {
            self.close_turn();
            self.push(&role, &content, &at, "content", &kept);
            return Ok(());
        }
        if self.turn.as_ref().is_some_and(|turn| turn.content.is_some() || !turn.calls.is_empty()) {
            self.close_turn();
        }
        let turn = self.turn.get_or_insert_default();
        turn.item = at;
        turn.content = Some(content);
        turn.kept = kept;
        Ok(())
    }

    fn call(&mut self, item: &Object<'_>, at: String) -> Result<(), Error> {
        let function = ObjectOut::new()
            .raw("name", item.need_text(&at, "name")?)
            .raw("arguments", item.need_text(&at, "arguments")?)
            .end();
        let call = ObjectOut::new()
            .raw("id", item.need_text(&at, "call_id")?)
            .raw("type", "\"function\"")
            .raw("function", &function)
            .end();
        let turn = self.turn.get_or_insert_default();
        if turn.item.is_empty() {
            turn.item.clone_from(&at);
        }
        turn.calls.push(call);
        turn.call_items.push(at);
        Ok(())
    }

    fn output(&mut self, item: &Object<'_>, at: &str) -> Result<(), Error> {
        self.close_turn();
        let content = part::content(item.need(at, "output")?, &inside(at, "output"))?;
        let id = item.need_text(at, "call_id")?;
        let kept = [("\"tool_call_id\"".to_owned(), id.to_owned())];
        self.push("tool", &content, at, "output", &kept);
        Ok(())
    }

    /// Reasoning in plain text is handed back to the model; what is encrypted is somebody else's.
    fn reasoning(&mut self, item: &Object<'_>, at: String) -> Result<(), Error> {
        let mut text = String::new();
        for name in ["content", "summary"] {
            let Some(list) = item.get(name).filter(|_| text.is_empty()) else { continue };
            let list_at = inside(&at, name);
            for (number, node) in list.items(&list_at)?.into_iter().enumerate() {
                let part_at = format!("{list_at}[{number}]");
                let part = node.object(&part_at)?;
                let said = part.need(&part_at, "text")?.string(&inside(&part_at, "text"))?;
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(&said);
            }
        }
        if self.turn.as_ref().is_some_and(|turn| turn.content.is_some() || !turn.calls.is_empty()) {
            self.close_turn();
        }
        let turn = self.turn.get_or_insert_default();
        turn.item = at;
        turn.reasoning.push_str(&text);
        Ok(())
    }

    /// Ends the assistant's message. Reasoning that led to nothing is left out: no message can hold it
    /// alone.
    fn close_turn(&mut self) {
        let Some(turn) = self.turn.take() else { return };
        if turn.content.is_none() && turn.calls.is_empty() {
            return;
        }
        let mut message = ObjectOut::new();
        message.raw("role", "\"assistant\"");
        message.raw("content", turn.content.as_deref().unwrap_or("null"));
        if !turn.reasoning.is_empty() {
            message.raw("reasoning_content", &quoted(&turn.reasoning));
        }
        if !turn.calls.is_empty() {
            message.raw("tool_calls", &array(&turn.calls));
        }
        for (key, value) in &turn.kept {
            message.keep(key, value);
        }
        self.messages.push(message.end());
        self.origins.push(Origin { item: turn.item, content: "content", calls: turn.call_items });
    }

    fn push(
        &mut self,
        role: &str,
        json: &str,
        item: &str,
        content: &'static str,
        kept: &[(String, String)],
    ) {
        let mut message = ObjectOut::with_capacity(json.len() + 64);
        message.string("role", role).raw("content", json);
        for (key, value) in kept {
            message.keep(key, value);
        }
        self.messages.push(message.end());
        self.origins.push(Origin { item: item.to_owned(), content, calls: Vec::new() });
    }
}
