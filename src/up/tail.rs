//! The last bytes a child process wrote to its stderr, kept to explain why it failed.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

/// How much is kept; older bytes are forgotten.
const BYTES_MAX: usize = 16 * 1024;

/// A shared window on the end of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail(Arc<Mutex<VecDeque<u8>>>);

// === impl Tail ===

impl Tail {
    /// Reads until the stream ends; with `echo` everything goes to our own stderr as well.
    pub(super) async fn follow(self, mut from: impl AsyncRead + Unpin, echo: bool) {
        let mut chunk = [0_u8; 4096];
        let mut stderr = tokio::io::stderr();
        while let Ok(n @ 1..) = from.read(&mut chunk).await {
            let bytes = chunk.get(..n).unwrap_or_default();
            self.push(bytes);
            if echo && stderr.write_all(bytes).await.is_err() {
                // Nobody reads our stderr; the child must not block on that.
                continue;
            }
        }
    }

    fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(bytes);
        let surplus = kept.len().saturating_sub(BYTES_MAX);
        kept.drain(..surplus);
    }

    /// What was written last, each line indented.
    pub(super) fn indented(&self) -> String {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(kept.make_contiguous()).into_owned();
        drop(kept);
        if text.trim().is_empty() {
            return "    (it wrote nothing to stderr)".to_owned();
        }
        text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_the_end_alone() {
        let tail = Tail::default();
        let text = format!("{}\nthe end\n", "x".repeat(3 * BYTES_MAX));
        tail.clone().follow(text.as_bytes(), false).await;
        assert!(tail.indented().ends_with("\n    the end"));
        assert!(tail.indented().len() <= BYTES_MAX + 16);
    }

    #[test]
    fn says_that_there_was_nothing() {
        assert!(Tail::default().indented().contains("wrote nothing"));
    }
}
