//! Media in a message's content: what is no text, and must not be counted as text. Known by the member
//! it stands in and not by what it looks like, so that no prompt can pass itself off as a picture.

use crate::json::{Fault, Kind, Lexer, Text};

/// Pieces that lie in the request itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Media {
    pub pieces: u64,
    /// Of all pieces, as they are written.
    pub bytes: usize,
}

/// Members of a part that hold media, in an object of their own.
const HOLDERS: [&[u8]; 5] = [b"image_url", b"input_audio", b"audio_url", b"video_url", b"file"];

// === impl Media ===

impl Media {
    /// Passes the parts of a message's content, an array.
    pub(super) fn note_parts(&mut self, lexer: &mut Lexer<'_>) -> Result<(), Fault> {
        lexer.open_array()?;
        let mut first = true;
        while lexer.item(&mut first)? {
            match lexer.kind()? {
                Kind::Object => self.note_part(lexer)?,
                _ => drop(lexer.skip()?),
            }
        }
        Ok(())
    }

    fn note_part(&mut self, lexer: &mut Lexer<'_>) -> Result<(), Fault> {
        lexer.open_object()?;
        let mut first = true;
        while let Some(key) = lexer.member(&mut first)? {
            let name = key.name(lexer.bytes());
            match lexer.kind()? {
                Kind::Object if HOLDERS.contains(&&*name) => self.note_holder(lexer)?,
                // Some clients leave the object out.
                Kind::String if &*name == b"image_url" => self.note_url(lexer)?,
                _ => drop(lexer.skip()?),
            }
        }
        Ok(())
    }

    fn note_holder(&mut self, lexer: &mut Lexer<'_>) -> Result<(), Fault> {
        lexer.open_object()?;
        let mut first = true;
        while let Some(key) = lexer.member(&mut first)? {
            let name = key.name(lexer.bytes());
            match (lexer.kind()?, &*name) {
                (Kind::String, b"url") => self.note_url(lexer)?,
                (Kind::String, b"data" | b"file_data") => {
                    let text = lexer.string()?;
                    self.add(text);
                }
                _ => drop(lexer.skip()?),
            }
        }
        Ok(())
    }

    /// Only what a URL carries itself is in the request.
    fn note_url(&mut self, lexer: &mut Lexer<'_>) -> Result<(), Fault> {
        let text = lexer.string()?;
        if text.span.of(lexer.bytes()).starts_with(b"data:") {
            self.add(text);
        }
        Ok(())
    }

    fn add(&mut self, text: Text) {
        self.pieces += 1;
        self.bytes += text.span.end - text.span.start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(parts: &str) -> (u64, usize) {
        let mut lexer = Lexer::new(parts.as_bytes());
        let mut media = Media::default();
        media.note_parts(&mut lexer).unwrap();
        lexer.end().unwrap();
        (media.pieces, media.bytes)
    }

    #[test]
    fn media_are_known_by_where_they_stand() {
        for (part, expected) in [
            (
                r#"{"type":"image_url","image_url":{"detail":"low","url":"data:a;base64,AA"}}"#,
                (1, 16),
            ),
            (r#"{"image_url":"data:a;base64,AA"}"#, (1, 16)),
            (r#"{"input_audio":{"data":"AAAA","format":"wav"}}"#, (1, 4)),
            (r#"{"file":{"file_data":"data:a;base64,AA"}}"#, (1, 16)),
            (r#"{"image_url":{"url":"https://example.org/a;base64,"}}"#, (0, 0)),
            (r#"{"type":"text","text":"data:a;base64,AA"}"#, (0, 0)),
            (r#"{"text":{"url":"data:a;base64,AA"}}"#, (0, 0)),
            (r#""data:a;base64,AA""#, (0, 0)),
            (r#"{"image_url":null,"input_audio":[1,{}]}"#, (0, 0)),
        ] {
            assert_eq!(noted(&format!("[7, {part}]")), expected, "{part}");
        }
        let two = r#"[{"input_audio":{"data":"AA"}}, {"input_audio":{"data":"BBB"}}]"#;
        assert_eq!(noted(two), (2, 5));
    }
}
