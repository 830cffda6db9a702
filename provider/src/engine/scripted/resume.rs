//! Goes on with an answer that another engine of the same script began: its tokens are 0, 1, 2, …, so
//! what is there can be checked and the next one is known.

use crate::engine::{Delta, Error};
use openapi::resume::Resume;

/// What is still to be sent of an answer's pieces, one a token.
///
/// # Errors
/// [`Error::Mismatch`]: what is there is of another answer.
pub(super) fn rest(pieces: Vec<Delta>, resume: &Resume) -> Result<Vec<Delta>, Error> {
    let there = resume.ids.len();
    if there > pieces.len() || !(0u32..).zip(&resume.ids).all(|(place, id)| place == *id) {
        return Err(mismatch("its tokens"));
    }
    let mut sent = usize::try_from(resume.text_bytes).unwrap_or(usize::MAX);
    let mut rest = Vec::with_capacity(pieces.len() - there);
    for (place, mut piece) in pieces.into_iter().enumerate() {
        if place >= there {
            rest.push(piece);
            continue;
        }
        // The ids are known there, and of the text all that is `sent`.
        piece.ids.clear();
        let text = text_of(&mut piece);
        let known = text.as_ref().map_or(0, |text| text.len()).min(sent);
        sent -= known;
        if let Some(text) = text.filter(|text| text.len() > known) {
            let tail = text.get(known..).ok_or_else(|| mismatch("its text"))?.to_owned();
            *text = tail;
            piece.logprobs.clear();
            rest.push(piece);
        }
    }
    if sent > 0 {
        return Err(mismatch("its text"));
    }
    Ok(rest)
}

/// A piece has one text.
fn text_of(piece: &mut Delta) -> Option<&mut String> {
    let arguments = piece.tool_call.as_mut().and_then(|call| call.function.as_mut());
    let arguments = arguments.and_then(|function| function.arguments.as_mut());
    piece.content.as_mut().or(piece.reasoning.as_mut()).or(arguments)
}

pub(super) fn mismatch(what: &str) -> Error {
    Error::Mismatch(format!("{what} would be another one here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces() -> Vec<Delta> {
        let piece =
            |id| Delta { content: Some(format!(" tok{id}")), ids: vec![id], ..Delta::default() };
        (0..4).map(piece).collect()
    }

    fn resumed(ids: &[u32], text_bytes: u64) -> Result<String, Error> {
        let resume = Resume { ids: ids.to_vec(), text_bytes, prompt_ids_sha256: None };
        let rest = rest(pieces(), &resume)?;
        assert!(rest.iter().all(|piece| piece.ids.iter().all(|id| !ids.contains(id))));
        Ok(rest.into_iter().filter_map(|piece| piece.content).collect())
    }

    #[test]
    fn the_rest_follows_what_is_there() {
        assert_eq!(resumed(&[], 0).unwrap(), " tok0 tok1 tok2 tok3");
        assert_eq!(resumed(&[0, 1], 10).unwrap(), " tok2 tok3");
        // Ids may be ahead of their text.
        assert_eq!(resumed(&[0, 1], 7).unwrap(), "ok1 tok2 tok3");
        assert_eq!(resumed(&[0, 1, 2, 3], 20).unwrap(), "");
    }

    #[test]
    fn another_answer_is_refused() {
        for (ids, bytes) in [(&[1, 2][..], 10), (&[0, 1], 11), (&[0, 1, 2, 3, 4], 25)] {
            assert!(matches!(resumed(ids, bytes), Err(Error::Mismatch(_))), "{ids:?} {bytes}");
        }
    }
}
