//! How many tokens a prompt may have, before anybody has counted: 4 bytes each, which is about right
//! for English text, too many for the JSON around it, and too few for some scripts. Settling puts it
//! right. Media are no text: each piece counts as a fixed number.

const BYTES_PER_TOKEN: u64 = 4;
/// What an image costs with common models, in the order of magnitude.
const MEDIA_TOKENS: u64 = 1000;

pub(super) fn prompt_tokens(text_bytes: u64, media: u64) -> u64 {
    text_bytes.div_ceil(BYTES_PER_TOKEN).saturating_add(media.saturating_mul(MEDIA_TOKENS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_four_bytes_a_token_and_media_count_by_piece() {
        for ((text_bytes, media), tokens) in [
            ((0, 0), 0),
            ((2, 0), 1),
            ((401, 0), 101),
            ((8, 2), 2002),
            ((u64::MAX, u64::MAX), u64::MAX),
        ] {
            assert_eq!(prompt_tokens(text_bytes, media), tokens);
        }
    }
}
