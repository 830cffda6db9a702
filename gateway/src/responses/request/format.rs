//! The form of the answer: `text`, `reasoning`, `include`.

use crate::json::Kind;
use crate::responses::Error;
use crate::responses::node::{Node, Object};
use crate::responses::print::ObjectOut;

const LOGPROBS: &str = "message.output_text.logprobs";
/// What may be asked to be shown. All but [`LOGPROBS`] is about tools of the server's, of which there
/// are none, or about reasoning, which is shown in plain text.
const INCLUDABLE: [&str; 8] = [
    LOGPROBS,
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
];

/// `response_format` and `verbosity`.
pub(super) fn text(node: Node<'_>, out: &mut ObjectOut) -> Result<(), Error> {
    if node.is_null() {
        return Ok(());
    }
    let text = node.object("text")?;
    if let Some(verbosity) = text.get("verbosity") {
        out.raw("verbosity", verbosity.of(Kind::String, "text.verbosity", "a string")?.text);
    }
    let Some(node) = text.get("format") else { return Ok(()) };
    let at = "text.format";
    let format = node.object(at)?;
    match &*format.need_kind(at)? {
        "text" => {}
        "json_object" => {
            out.raw("response_format", "{\"type\":\"json_object\"}");
        }
        "json_schema" => {
            let mut schema = ObjectOut::new();
            schema.raw("name", format.need_text(at, "name")?);
            let body = format.need(at, "schema")?;
            schema.raw("schema", body.of(Kind::Object, "text.format.schema", "an object")?.text);
            for name in ["description", "strict"] {
                if let Some(value) = format.get(name) {
                    schema.raw(name, value.text);
                }
            }
            let format = ObjectOut::new()
                .raw("type", "\"json_schema\"")
                .raw("json_schema", &schema.end())
                .end();
            out.raw("response_format", &format);
        }
        "regex" => {
            out.raw("response_format", node.text);
        }
        _ => {
            let expected = "'text', 'json_object', 'json_schema' or 'regex'";
            return Err(Error::invalid("text.format.type", expected));
        }
    }
    Ok(())
}

/// `reasoning_effort`.
pub(super) fn reasoning(node: Node<'_>, out: &mut ObjectOut) -> Result<(), Error> {
    if node.is_null() {
        return Ok(());
    }
    if let Some(effort) = node.object("reasoning")?.get("effort") {
        out.raw("reasoning_effort", effort.of(Kind::String, "reasoning.effort", "a string")?.text);
    }
    Ok(())
}

/// Whether `include` asks for log probabilities.
pub(super) fn logprobs(request: &Object<'_>) -> Result<bool, Error> {
    let Some(include) = request.get("include") else { return Ok(false) };
    let mut asked = false;
    for (number, node) in include.items("include")?.into_iter().enumerate() {
        let at = format!("include[{number}]");
        let name = node.string(&at)?;
        if !INCLUDABLE.contains(&&*name) {
            return Err(Error::invalid(&at, &format!("one of '{}'", INCLUDABLE.join("', '"))));
        }
        asked |= name == LOGPROBS;
    }
    Ok(asked)
}
