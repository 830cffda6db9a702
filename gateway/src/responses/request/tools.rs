//! `tools` and `tool_choice`. Functions only: the server runs no tools. A choice of allowed tools is
//! kept by offering no others, which every server understands.

use std::borrow::Cow;

use crate::json::Kind;
use crate::responses::Error;
use crate::responses::node::{Node, Object, inside};
use crate::responses::print::{ObjectOut, array};

/// Members that belong to the function in chat.
const OF_THE_FUNCTION: [&str; 4] = ["name", "description", "parameters", "strict"];
/// About programs that call tools and about tools found by search: neither is here.
const DROPPED: [&str; 5] = ["type", "allowed_callers", "async", "defer_loading", "output_schema"];

/// As chat's, `None` where nothing is to be said.
#[derive(Debug, Default)]
pub(super) struct Tools {
    /// A JSON array with something in it.
    pub(super) list: Option<String>,
    pub(super) choice: Option<String>,
}

struct Tool<'a> {
    name: Cow<'a, str>,
    json: String,
}

pub(super) fn tools(request: &Object<'_>) -> Result<Tools, Error> {
    let mut tools = Vec::new();
    if let Some(list) = request.get("tools") {
        for (number, node) in list.items("tools")?.into_iter().enumerate() {
            tools.push(tool(node, &format!("tools[{number}]"))?);
        }
    }
    let choice = match request.get("tool_choice") {
        None => None,
        Some(node) => choice(node, &mut tools)?,
    };
    if tools.is_empty() {
        // Chat servers refuse a choice where there is nothing to choose from, even of none.
        let choice = choice.filter(|choice| choice != "\"auto\"" && choice != "\"none\"");
        return Ok(Tools { list: None, choice });
    }
    let list: Vec<String> = tools.into_iter().map(|tool| tool.json).collect();
    Ok(Tools { list: Some(array(&list)), choice })
}

fn tool<'a>(node: Node<'a>, at: &str) -> Result<Tool<'a>, Error> {
    let tool = node.object(at)?;
    let kind = tool.need_kind(at)?;
    if kind != "function" {
        let why = "Only tools of type 'function' are served: the server runs no tools.";
        return Err(Error::unsupported(&inside(at, "type"), why));
    }
    let name = tool.need(at, "name")?.string(&inside(at, "name"))?;
    let mut function = ObjectOut::new();
    let mut out = ObjectOut::new();
    out.raw("type", "\"function\"");
    for member in tool.members() {
        let value = member.value;
        match &*member.name {
            name if DROPPED.contains(&name) => {}
            name if OF_THE_FUNCTION.contains(&name) => {
                if !value.is_null() {
                    function.keep(member.key, value.text);
                }
            }
            _ => {
                out.keep(member.key, value.text);
            }
        }
    }
    out.raw("function", &function.end());
    Ok(Tool { name, json: out.end() })
}

fn choice(node: Node<'_>, tools: &mut Vec<Tool<'_>>) -> Result<Option<String>, Error> {
    let at = "tool_choice";
    if node.kind == Kind::String {
        return match &*node.string(at)? {
            "none" | "auto" | "required" => Ok(Some(node.text.to_owned())),
            _ => Err(Error::invalid(at, "'none', 'auto', 'required' or an object")),
        };
    }
    if node.kind != Kind::Object {
        return Err(node.wrong(at, "a string or an object"));
    }
    let choice = node.object(at)?;
    match &*choice.need_kind(at)? {
        "function" => {
            let function = ObjectOut::new().raw("name", choice.need_text(at, "name")?).end();
            Ok(Some(ObjectOut::new().raw("type", "\"function\"").raw("function", &function).end()))
        }
        "allowed_tools" => allowed(&choice, tools).map(Some),
        _ => Err(Error::invalid(
            "tool_choice.type",
            "'function' or 'allowed_tools'; the server runs no tools",
        )),
    }
}

/// Leaves only the allowed tools on offer; the choice is the mode among them.
fn allowed(choice: &Object<'_>, tools: &mut Vec<Tool<'_>>) -> Result<String, Error> {
    let mode = choice.need("tool_choice", "mode")?;
    if !matches!(&*mode.string("tool_choice.mode")?, "auto" | "required") {
        return Err(Error::invalid("tool_choice.mode", "'auto' or 'required'"));
    }
    let mut names = Vec::new();
    let list = choice.need("tool_choice", "tools")?.items("tool_choice.tools")?;
    for (number, node) in list.into_iter().enumerate() {
        let at = format!("tool_choice.tools[{number}]");
        let tool = node.object(&at)?;
        if tool.need_kind(&at)? != "function" {
            return Err(Error::invalid(&inside(&at, "type"), "'function'"));
        }
        let name = tool.need(&at, "name")?.string(&inside(&at, "name"))?;
        if !tools.iter().any(|tool| tool.name == name) {
            return Err(Error::invalid(&inside(&at, "name"), "the name of one of 'tools'"));
        }
        names.push(name);
    }
    if names.is_empty() {
        return Err(Error::invalid("tool_choice.tools", "at least one tool"));
    }
    tools.retain(|tool| names.contains(&tool.name));
    Ok(mode.text.to_owned())
}
