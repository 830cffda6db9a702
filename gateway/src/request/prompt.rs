//! `messages`, `prompt` and `input`: that each message is an object with a role, and how many inputs are
//! to be embedded. What they say is the provider's.

use super::{Error, Media};
use crate::json::{Fault, Kind, Lexer};

/// Passes the value of `messages`: how many, and the media in them; the outer error is of syntax.
pub(super) fn messages(lexer: &mut Lexer<'_>) -> Result<Result<(usize, Media), Error>, Fault> {
    if lexer.kind()? != Kind::Array {
        lexer.skip()?;
        return Ok(Err(Error::member(
            "messages",
            "Invalid type for 'messages': expected an array of objects.",
        )));
    }
    lexer.open_array()?;
    let (mut first, mut count, mut wrong) = (true, 0, None);
    let mut media = Media::default();
    while lexer.item(&mut first)? {
        if let Err(error) = message(lexer, count, &mut media)? {
            wrong.get_or_insert(error);
        }
        count += 1;
    }
    if count == 0 {
        wrong = Some(Error::member(
            "messages",
            "Invalid 'messages': expected at least one message, got an empty array.",
        ));
    }
    Ok(wrong.map_or(Ok((count, media)), Err))
}

fn message(
    lexer: &mut Lexer<'_>,
    number: usize,
    media: &mut Media,
) -> Result<Result<(), Error>, Fault> {
    if lexer.kind()? != Kind::Object {
        lexer.skip()?;
        let param = format!("messages[{number}]");
        let text = format!("Invalid type for '{param}': expected an object.");
        return Ok(Err(Error::member(param, text)));
    }
    lexer.open_object()?;
    let mut first = true;
    let mut role = None;
    let mut doubled = false;
    while let Some(key) = lexer.member(&mut first)? {
        let name = key.name(lexer.bytes());
        if &*name == b"role" {
            doubled |= role.is_some();
            role = Some(lexer.kind()?);
        }
        if &*name == b"content" && lexer.kind()? == Kind::Array {
            media.note_parts(lexer)?;
        } else {
            lexer.skip()?;
        }
    }
    let what = match role {
        _ if doubled => "is there twice",
        Some(Kind::String) => return Ok(Ok(())),
        Some(_) => "must be a string",
        None => "is missing",
    };
    let param = format!("messages[{number}].role");
    let text = format!("Invalid message: '{param}' {what}.");
    Ok(Err(Error::member(param, text)))
}

/// Passes the value of `prompt`: a text, texts, token ids, or lists of those. How many prompts it
/// holds; the outer error is of syntax.
pub(super) fn prompt(lexer: &mut Lexer<'_>) -> Result<Result<usize, Error>, Fault> {
    match lexer.kind()? {
        Kind::String | Kind::Null => lexer.skip().map(|_| Ok(1)),
        Kind::Array => prompts(lexer).map(Ok),
        _ => {
            lexer.skip()?;
            Ok(Err(Error::member(
                "prompt",
                "Invalid type for 'prompt': expected a string or an array.",
            )))
        }
    }
}

/// Numbers are the ids of one prompt.
fn prompts(lexer: &mut Lexer<'_>) -> Result<usize, Fault> {
    lexer.open_array()?;
    let (mut first, mut count) = (true, 0);
    while lexer.item(&mut first)? {
        count += usize::from(lexer.kind()? != Kind::Number);
        lexer.skip()?;
    }
    Ok(count.max(1))
}

/// Inputs in a value of `input` that is known to be JSON: a text or a list of token ids is one, any
/// other list has as many as items.
pub(super) fn inputs(raw: &str) -> Result<usize, Error> {
    let wrong = || {
        Error::member(
            "input",
            "Invalid type for 'input': expected a string or an array.".to_owned(),
        )
    };
    let count = || {
        let mut lexer = Lexer::new(raw.as_bytes());
        if lexer.kind()? != Kind::Array {
            return Ok((lexer.kind()? == Kind::String).then_some(1));
        }
        lexer.open_array()?;
        let (mut first, mut count) = (true, 0);
        while lexer.item(&mut first)? {
            if count == 0 && lexer.kind()? == Kind::Number {
                return Ok(Some(1));
            }
            lexer.skip()?;
            count += 1;
        }
        Ok::<_, Fault>(Some(count))
    };
    match count().ok().flatten() {
        None => Err(wrong()),
        Some(0) => Err(Error::member(
            "input",
            "Invalid 'input': expected at least one input, got an empty array.",
        )),
        Some(count) => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_counted() {
        for (raw, count) in [
            (r#""a, [b]""#, 1),
            (r#"["a"]"#, 1),
            (r#"["a", "b", "[1,2]"]"#, 3),
            ("[1, 2, 3]", 1),
            ("[[1, 2], [3]]", 2),
        ] {
            assert_eq!(inputs(raw), Ok(count), "{raw}");
        }
        for raw in ["7", "true", "{}", "[]", "[ ]"] {
            assert_eq!(inputs(raw).unwrap_err().param.as_deref(), Some("input"), "{raw}");
        }
    }
}
