//! Which call a `tool_calls` entry belongs to. Some providers leave `index` out, or give every
//! parallel call index 0; a client that joins fragments by index needs a true one.

/// Calls of one choice; beyond it fragments stay with the last.
const CALLS_MAX: usize = 1024;
/// Of an id, what is kept to tell calls apart.
const ID_BYTES_MAX: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Calls {
    known: Vec<Call>,
}

#[derive(Debug)]
struct Call {
    /// As the provider numbers it.
    theirs: Option<u32>,
    /// As the client sees it.
    ours: u32,
    id: Vec<u8>,
}

// === impl Calls ===

impl Calls {
    /// The index the client must see for an entry. `id` is empty where there is none; `named`: it
    /// carries a function name, as only the first fragment of a call does (some providers put a fresh
    /// id on every fragment, so the id alone does not start a call).
    pub(crate) fn index(&mut self, theirs: Option<u32>, id: &[u8], named: bool) -> u32 {
        let id = id.get(..ID_BYTES_MAX).unwrap_or(id);
        let last =
            self.known.iter_mut().rev().find(|call| theirs.is_none() || call.theirs == theirs);
        if let Some(call) = last {
            let another = named && !id.is_empty() && !call.id.is_empty() && call.id != id;
            if !another {
                if call.id.is_empty() {
                    call.id = id.to_vec();
                }
                return call.ours;
            }
            if let Some(same) =
                self.known.iter().find(|call| call.theirs == theirs && call.id == id)
            {
                return same.ours;
            }
        }
        self.start(theirs, id)
    }

    fn start(&mut self, theirs: Option<u32>, id: &[u8]) -> u32 {
        let next = self.known.iter().map(|call| call.ours + 1).max().unwrap_or(0);
        let taken = |index: u32| self.known.iter().any(|call| call.ours == index);
        let ours = match theirs {
            Some(index) if !taken(index) => index,
            _ => next,
        };
        if self.known.len() < CALLS_MAX {
            self.known.push(Call { theirs, ours, id: id.to_vec() });
        }
        ours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_indices_stay() {
        let mut calls = Calls::default();
        assert_eq!(calls.index(Some(0), b"a", true), 0);
        assert_eq!(calls.index(Some(0), b"", false), 0);
        assert_eq!(calls.index(Some(1), b"b", true), 1);
        assert_eq!(calls.index(Some(0), b"", false), 0);
        assert_eq!(calls.index(Some(5), b"c", true), 5);
    }

    #[test]
    fn missing_indices_follow_the_ids() {
        let mut calls = Calls::default();
        assert_eq!(calls.index(None, b"a", true), 0);
        assert_eq!(calls.index(None, b"", false), 0);
        assert_eq!(calls.index(None, b"b", true), 1);
        assert_eq!(calls.index(None, b"", false), 1);
        assert_eq!(calls.index(None, b"a", true), 0);
    }

    #[test]
    fn parallel_calls_that_all_say_zero_are_told_apart() {
        let mut calls = Calls::default();
        assert_eq!(calls.index(Some(0), b"a", true), 0);
        assert_eq!(calls.index(Some(0), b"b", true), 1);
        assert_eq!(calls.index(Some(0), b"", false), 1);
        assert_eq!(calls.index(Some(1), b"c", true), 2);
    }

    #[test]
    fn a_fresh_id_on_every_fragment_is_still_one_call() {
        let mut calls = Calls::default();
        assert_eq!(calls.index(Some(0), b"a", true), 0);
        assert_eq!(calls.index(Some(0), b"b", false), 0);
    }
}
