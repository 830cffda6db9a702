//! Bytes to characters, across tokens: a character leaves when all its bytes are there, and bytes
//! that can never become one leave as U+FFFD, as in a lossy decoding of the whole.

#[derive(Debug, Default)]
pub(super) struct Characters {
    /// The start of a character: 3 bytes at most.
    pending: Vec<u8>,
}

// === impl Characters ===

impl Characters {
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::with_capacity(self.pending.len());
        let mut used = 0;
        for chunk in self.pending.utf8_chunks() {
            text.push_str(chunk.valid());
            used += chunk.valid().len();
            let invalid = chunk.invalid();
            let last = used + invalid.len() == self.pending.len();
            if last && may_go_on(invalid) {
                break;
            }
            if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
            used += invalid.len();
        }
        self.pending.drain(..used);
        text
    }
}

/// Whether these bytes are the start of a character.
fn may_go_on(bytes: &[u8]) -> bool {
    !bytes.is_empty() && std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_split_character_is_held_back() {
        let mut characters = Characters::default();
        assert_eq!(characters.push(b"a\xF0\x9F"), "a");
        assert_eq!(characters.push(b"\x98"), "");
        assert_eq!(characters.push(b"\x80b"), "😀b");
        assert_eq!(characters.push(b"\xC3"), "");
        assert_eq!(characters.push(b"x"), "\u{FFFD}x");
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(bytes: Vec<u8>, cuts in prop::collection::vec(1usize..5, 1..40)) {
            let mut characters = Characters::default();
            let (mut text, mut at, mut cuts) = (String::new(), 0, cuts.iter().cycle());
            while at < bytes.len() {
                let end = (at + cuts.next().unwrap()).min(bytes.len());
                text.push_str(&characters.push(&bytes[at..end]));
                at = end;
            }
            // The end closes what is open.
            text.push_str(&characters.push(b"."));
            let mut whole = bytes.clone();
            whole.push(b'.');
            prop_assert_eq!(text, String::from_utf8_lossy(&whole));
        }
    }
}
