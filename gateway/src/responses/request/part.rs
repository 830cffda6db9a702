//! The content of an item: a text, or parts.

use crate::json::Kind;
use crate::responses::Error;
use crate::responses::node::{Node, Object, inside};
use crate::responses::print::{ObjectOut, array};

/// As chat's `content`. A single part of plain text is the text itself, which every server takes.
pub(super) fn content(node: Node<'_>, at: &str) -> Result<String, Error> {
    match node.kind {
        Kind::String => return Ok(node.text.to_owned()),
        Kind::Array => {}
        _ => return Err(node.wrong(at, "a string or an array of parts")),
    }
    let items = node.items(at)?;
    let mut parts = Vec::with_capacity(items.len());
    let mut plain = None;
    for (number, item) in items.iter().enumerate() {
        let at = format!("{at}[{number}]");
        let part = item.object(&at)?;
        let kind = part.need_kind(&at)?;
        let (json, text) = one(&part, &kind, &at)?;
        plain = text.filter(|_| number == 0);
        parts.push(json);
    }
    Ok(match plain {
        _ if parts.is_empty() => "\"\"".to_owned(),
        Some(text) if parts.len() == 1 => text.to_owned(),
        _ => array(&parts),
    })
}

/// The part, and its text if it has nothing else.
fn one<'a>(part: &Object<'a>, kind: &str, at: &str) -> Result<(String, Option<&'a str>), Error> {
    let mut out = ObjectOut::new();
    // What the part says that is translated or has no counterpart; the rest passes.
    let known: &[&str] = match kind {
        "input_text" | "output_text" => {
            let text = part.need_text(at, "text")?;
            out.raw("type", "\"text\"").raw("text", text);
            let known: &[&str] = &["text", "annotations", "logprobs"];
            if part.members().iter().all(|m| m.name == "type" || known.contains(&&*m.name)) {
                return Ok((out.end(), Some(text)));
            }
            known
        }
        "refusal" => {
            out.raw("type", "\"refusal\"").raw("refusal", part.need_text(at, "refusal")?);
            &["refusal"]
        }
        "input_image" => {
            out.raw("type", "\"image_url\"").raw("image_url", &image(part, at)?);
            &["image_url", "detail", "file_id"]
        }
        "input_audio" => {
            let audio = part.need(at, "input_audio")?;
            audio.of(Kind::Object, &inside(at, "input_audio"), "an object")?;
            out.raw("type", "\"input_audio\"").raw("input_audio", audio.text);
            &["input_audio"]
        }
        "input_file" => {
            out.raw("type", "\"file\"").raw("file", &file(part, at)?);
            &["file_data", "filename", "file_id", "file_url", "detail"]
        }
        _ => {
            let expected = "'input_text', 'input_image', 'input_audio', 'input_file', \
                            'output_text' or 'refusal'";
            return Err(Error::invalid(&inside(at, "type"), expected));
        }
    };
    for member in part.members() {
        if member.name != "type" && !known.contains(&&*member.name) {
            out.keep(member.key, member.value.text);
        }
    }
    Ok((out.end(), None))
}

fn image(part: &Object<'_>, at: &str) -> Result<String, Error> {
    no_file(part, at, "file_id")?;
    let mut out = ObjectOut::new();
    out.raw("url", part.need_text(at, "image_url")?);
    if let Some(detail) = part.get("detail") {
        out.raw("detail", detail.of(Kind::String, &inside(at, "detail"), "a string")?.text);
    }
    Ok(out.end())
}

fn file(part: &Object<'_>, at: &str) -> Result<String, Error> {
    no_file(part, at, "file_id")?;
    no_file(part, at, "file_url")?;
    let mut out = ObjectOut::new();
    out.raw("file_data", part.need_text(at, "file_data")?);
    if let Some(name) = part.get("filename") {
        out.raw("filename", name.of(Kind::String, &inside(at, "filename"), "a string")?.text);
    }
    Ok(out.end())
}

fn no_file(part: &Object<'_>, at: &str, name: &str) -> Result<(), Error> {
    match part.get(name) {
        Some(_) => Err(Error::unsupported(
            &inside(at, name),
            "Files are neither stored nor fetched here: send the data itself.",
        )),
        None => Ok(()),
    }
}
