//! Writes JSON around text that is JSON already.

/// An object in the making.
#[derive(Debug)]
pub(super) struct ObjectOut(String);

// === impl ObjectOut ===

impl ObjectOut {
    pub(super) fn new() -> Self {
        Self::with_capacity(64)
    }

    pub(super) fn with_capacity(bytes: usize) -> Self {
        let mut out = String::with_capacity(bytes);
        out.push('{');
        Self(out)
    }

    /// A member whose name needs no escapes and whose value is JSON.
    pub(super) fn raw(&mut self, name: &str, json: &str) -> &mut Self {
        self.comma();
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
        self.0.push_str(json);
        self
    }

    /// A member as it was written.
    pub(super) fn keep(&mut self, key: &str, json: &str) -> &mut Self {
        self.comma();
        self.0.push_str(key);
        self.0.push(':');
        self.0.push_str(json);
        self
    }

    pub(super) fn string(&mut self, name: &str, text: &str) -> &mut Self {
        self.raw(name, &quoted(text))
    }

    fn comma(&mut self) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
    }

    pub(super) fn end(&mut self) -> String {
        let mut out = std::mem::take(&mut self.0);
        out.push('}');
        out
    }
}

/// An array of values that are JSON already.
pub(super) fn array(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

/// A string as JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned())
}

/// Bytes of a text as JSON, without its quotes.
pub(super) fn printed_bytes(text: &str) -> usize {
    let printed = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0x00..=0x1f => 6,
        _ => 1,
    });
    printed.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_counted() {
        let all: String = (0..0x500).filter_map(char::from_u32).collect();
        for text in ["", "plain", "é😀", &all] {
            assert_eq!(printed_bytes(text) + 2, quoted(text).len(), "{text:?}");
        }
    }
}
