//! How many tokens a prompt may have, before anybody has counted: 4 bytes each, which is about right
//! for English text, too many for the JSON around it, and too few for some scripts. Settling puts it
//! right. Media in base64 is no text: each counts as a fixed number.

use memchr::{memchr, memmem};

const BYTES_PER_TOKEN: usize = 4;
/// What an image costs with common models, in the order of magnitude.
const MEDIA_TOKENS: u64 = 1000;
const MARK: &[u8] = b";base64,";

/// `body` is JSON, already checked.
pub(super) fn prompt_tokens(body: &[u8]) -> u64 {
    let (mut text_bytes, mut media, mut rest) = (0usize, 0u64, body);
    while let Some(at) = memmem::find(rest, MARK) {
        let data_start = at + MARK.len();
        let data = rest.get(data_start..).unwrap_or_default();
        // Base64 holds no quote: the string ends at the next one.
        let data_end = memchr(b'"', data).unwrap_or(data.len());
        text_bytes = text_bytes.saturating_add(data_start);
        media += 1;
        rest = data.get(data_end..).unwrap_or_default();
    }
    let text_tokens = text_bytes.saturating_add(rest.len()).div_ceil(BYTES_PER_TOKEN);
    u64::try_from(text_tokens).unwrap_or(u64::MAX).saturating_add(media * MEDIA_TOKENS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_four_bytes_a_token() {
        assert_eq!(prompt_tokens(b""), 0);
        assert_eq!(prompt_tokens(b"{}"), 1);
        assert_eq!(prompt_tokens(&[b'x'; 401]), 101);
    }

    #[test]
    fn media_counts_by_piece_and_not_by_byte() {
        let image = "A".repeat(400_000);
        let body = format!(
            r#"[{{"url":"data:image/png;base64,{image}"}},{{"url":"data:image/png;base64,{image}"}}]"#
        );
        let tokens = prompt_tokens(body.as_bytes());
        assert!((2000..2050).contains(&tokens), "{tokens}");
        assert_eq!(prompt_tokens(b"x;base64,"), 3 + 1000);
    }
}
