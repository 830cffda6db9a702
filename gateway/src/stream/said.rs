//! The text that the client has, kept only where another upstream might have to go on with it by its
//! text alone. Bounded; what cannot be gone on with so (calls, refusals, reasoning under way) is
//! noticed here.

use super::shape::Choice;

/// Longer answers are not gone on with by their text.
const TEXT_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug, Default)]
pub struct Said {
    text: String,
    /// Events that carried something: tokens, for want of a better count.
    events: u64,
    /// The last of them carried reasoning alone.
    reasons: bool,
    /// It is not text alone, or too long.
    is_out: bool,
}

// === impl Said ===

impl Said {
    /// All content so far, where nothing but that would have to be gone on with.
    pub fn text(&self) -> Option<&str> {
        let is_in = !self.is_out && !self.reasons && !self.text.is_empty();
        is_in.then_some(self.text.as_str())
    }

    pub fn events(&self) -> u64 {
        self.events
    }

    /// Takes a choice of an event, whose first `again` bytes of text are there already.
    pub(crate) fn take(&mut self, json: &[u8], choice: &Choice, again: usize) {
        if !choice.carries() {
            return;
        }
        self.events += 1;
        let content = choice.content.text().and_then(|text| text.decode(json));
        self.reasons = content.is_none();
        self.is_out |= choice.calls()
            || choice.refusal.carries()
            || choice.text.carries()
            || choice.content.carries() && content.is_none();
        if let Some(content) = content {
            let new = content.get(again..).unwrap_or_default();
            self.is_out |= self.text.len() + new.len() > TEXT_BYTES_MAX;
            if self.is_out {
                self.text = String::new();
            } else {
                self.text.push_str(new);
            }
        }
    }
}
