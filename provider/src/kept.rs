//! What this node committed itself to with its last answers, to be shown when one of them is audited.
//! Bounded by count, by bytes and by age; what goes first is the oldest. It is shown to whoever names
//! the request and its nonce, and printed by nothing.

use openapi::commit::Claim;
use openapi::verify::Revealed;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub answers: usize,
    pub bytes: usize,
    pub age_ms: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { answers: 4096, bytes: 128 << 20, age_ms: 600_000 }
    }
}

/// Shared by all requests.
pub struct Kept {
    limits: Limits,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By their number, in order of age.
    answers: BTreeMap<u64, Answer>,
    /// Request and nonce.
    names: HashMap<(String, String), u64>,
    bytes: usize,
    next: u64,
}

struct Answer {
    revealed: Arc<Revealed>,
    bytes: usize,
    since_ms: i64,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inner = self.inner();
        write!(f, "Kept({} answers, {} bytes)", inner.answers.len(), inner.bytes)
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

// === impl Kept ===

impl Kept {
    pub fn new(limits: Limits) -> Self {
        Self { limits, inner: Mutex::default() }
    }

    /// Keeps it in place of what was kept under the same names. One that is larger than all may be is
    /// not kept.
    pub fn put(&self, revealed: Revealed, now_ms: i64) {
        let name = (revealed.commitment.request_id.clone(), revealed.commitment.nonce.clone());
        let bytes = bytes(&revealed.choices);
        let mut inner = self.inner();
        if let Some(number) = inner.names.get(&name).copied() {
            inner.forget(number);
        }
        if bytes > self.limits.bytes || self.limits.answers == 0 {
            return;
        }
        while inner.answers.len() >= self.limits.answers
            || inner.bytes.saturating_add(bytes) > self.limits.bytes
            || inner.oldest_ms().is_some_and(|since| since <= now_ms - self.limits.age_ms)
        {
            let Some(oldest) = inner.answers.keys().next().copied() else { break };
            inner.forget(oldest);
        }
        let number = inner.next;
        inner.next += 1;
        inner.bytes += bytes;
        inner.names.insert(name, number);
        let answer = Answer { revealed: Arc::new(revealed), bytes, since_ms: now_ms };
        inner.answers.insert(number, answer);
    }

    pub fn get(&self, request_id: &str, nonce: &str, now_ms: i64) -> Option<Arc<Revealed>> {
        let inner = self.inner();
        let number = inner.names.get(&(request_id.to_owned(), nonce.to_owned()))?;
        let answer = inner.answers.get(number)?;
        let is_fresh = answer.since_ms > now_ms - self.limits.age_ms;
        is_fresh.then(|| Arc::clone(&answer.revealed))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl Inner {
    fn oldest_ms(&self) -> Option<i64> {
        self.answers.values().next().map(|answer| answer.since_ms)
    }

    fn forget(&mut self, number: u64) {
        let Some(answer) = self.answers.remove(&number) else { return };
        self.bytes -= answer.bytes;
        let said = &answer.revealed.commitment;
        self.names.remove(&(said.request_id.clone(), said.nonce.clone()));
    }
}

/// About what it takes in memory.
fn bytes(choices: &[Vec<Claim>]) -> usize {
    let claims = choices.iter().flatten();
    1024 + claims.map(|claim| 32 + 8 * claim.top.len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use openapi::commit::Commitment;

    const MINUTE: i64 = 60_000;

    fn answer(id: &str, tokens: usize) -> Revealed {
        let commitment = Commitment {
            completion_tokens: tokens as u64,
            engine: String::new(),
            ids_sha256: String::new(),
            kv_dtype: String::new(),
            logprobs_sha256: String::new(),
            model: String::new(),
            nonce: format!("n-{id}"),
            prompt_ids_sha256: String::new(),
            prompt_tokens: 1,
            quant: String::new(),
            request_id: id.to_owned(),
            resumed: 0,
            sampler: String::new(),
            seed: "0".to_owned(),
            template_sha256: String::new(),
            weights_id: String::new(),
        };
        Revealed { commitment, choices: vec![vec![Claim::default(); tokens]] }
    }

    fn there(kept: &Kept, ids: &[&str], now_ms: i64) -> Vec<bool> {
        ids.iter().map(|id| kept.get(id, &format!("n-{id}"), now_ms).is_some()).collect()
    }

    #[test]
    fn an_answer_is_shown_for_ten_minutes_to_who_has_its_nonce() {
        let kept = Kept::default();
        kept.put(answer("a", 3), 0);
        assert_eq!(*kept.get("a", "n-a", 10 * MINUTE - 1).unwrap(), answer("a", 3));
        assert!(kept.get("a", "n-b", 1).is_none());
        assert!(kept.get("a", "n-a", 10 * MINUTE).is_none());
        // What is too old goes when another comes.
        kept.put(answer("b", 1), 11 * MINUTE);
        assert_eq!(there(&kept, &["a", "b"], 11 * MINUTE), [false, true]);
        assert_eq!(kept.inner().answers.len(), 1);
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many_or_they_are_too_large() {
        let limits = Limits { answers: 2, bytes: 10_000, age_ms: MINUTE };
        let kept = Kept::new(limits);
        for id in ["a", "b", "c"] {
            kept.put(answer(id, 1), 0);
        }
        assert_eq!(there(&kept, &["a", "b", "c"], 0), [false, true, true]);
        // 1,024 + 32 · 250 bytes.
        kept.put(answer("d", 250), 1);
        assert_eq!(there(&kept, &["b", "c", "d"], 1), [false, false, true]);
        kept.put(answer("huge", 1000), 2);
        assert_eq!(there(&kept, &["d", "huge"], 2), [true, false]);
        kept.put(answer("d", 2), 3);
        assert_eq!(kept.get("d", "n-d", 3).unwrap().choices[0].len(), 2);
        let inner = kept.inner();
        assert_eq!((inner.answers.len(), inner.names.len(), inner.bytes), (1, 1, 1024 + 64));
    }
}
