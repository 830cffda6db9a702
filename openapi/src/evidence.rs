//! Evidence rides in SSE comments, so the relay never reprints an event and any client ignores it.
//!
//! When a request carries [`HEADER`]` : 1`, the provider writes `: q 12 7` *before* the `data:` line
//! of the same event (the ids of the tokens whose text that event carries, so that a cut never
//! leaves text without its ids) and `: q-provenance {…}` right before `[DONE]`.

use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use utoipa::ToSchema;

use crate::sign::Signature;
use crate::usage::Usage;

/// Request header by which a gateway asks for evidence comments; its value is `1`.
pub const HEADER: &str = "x-quorate-evidence";
/// Request header with which a gateway names the occasion, 32 hex digits: an answer made before cannot be
/// given out for this one's.
pub const NONCE_HEADER: &str = "x-quorate-nonce";
/// Start of a comment line with token ids.
pub const IDS_PREFIX: &str = ": q ";
/// Start of the comment line with the provenance.
pub const PROVENANCE_PREFIX: &str = ": q-provenance ";

/// What the provider says about how an answer was made. One a stream, before `[DONE]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Provenance {
    /// `b3:` and BLAKE3 over the sorted (name, BLAKE3) of the weight files, computed at load.
    pub weights_id: String,
    /// `f16`, `f32`, `q8_0`, …: the precision the weights are held in.
    pub quant: String,
    /// Precision of the KV cache.
    pub kv_dtype: String,
    /// Name and version of the engine.
    pub engine: String,
    /// SHA-256 of the chat template, hex.
    pub template_sha256: String,
    /// `gumbel-v1`.
    pub sampler: String,
    /// The seed in force, as sent or as drawn here; of choice 0 (choice `i` has `seed + i`).
    pub seed: u64,
    /// SHA-256 over the prompt's token ids, each as a little-endian u32, hex.
    pub prompt_ids_sha256: String,
    /// How many tokens of choice 0 were drawn elsewhere, in an answer that is gone on with.
    #[serde(default)]
    pub resumed: u64,
    pub usage: Usage,
    /// SHA-256 of the [`Commitment`](crate::commit::Commitment), hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The node's signature over `commit` in the domain [`commit::DOMAIN`](crate::commit::DOMAIN).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sig: Option<Signature>,
}

/// The comment line for these ids, without a line end. With `choice > 0` the line is `: q@1 12 7`.
pub fn ids_comment(choice: u32, ids: &[u32]) -> String {
    let mut line = String::with_capacity(8 + ids.len() * 7);
    line.push_str(": q");
    if choice > 0 {
        let _ = write!(line, "@{choice}");
    }
    for id in ids {
        let _ = write!(line, " {id}");
    }
    line
}

/// The ids of a comment line written by [`ids_comment`] as (choice, ids); `None` for any other comment.
pub fn parse_ids(line: &str) -> Option<(u32, Vec<u32>)> {
    let rest = line.strip_prefix(": q")?;
    let (choice, rest) = match rest.strip_prefix('@') {
        Some(tail) => {
            let (number, ids) = tail.split_once(' ')?;
            (number.parse().ok()?, ids)
        }
        None => (0, rest.strip_prefix(' ')?),
    };
    let ids: Result<Vec<u32>, _> = rest.split_ascii_whitespace().map(str::parse).collect();
    ids.ok().map(|ids| (choice, ids))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip() {
        assert_eq!(ids_comment(0, &[12, 7]), ": q 12 7");
        assert_eq!(parse_ids(": q 12 7"), Some((0, vec![12, 7])));
        assert_eq!(parse_ids(&ids_comment(3, &[0, u32::MAX])), Some((3, vec![0, u32::MAX])));
    }

    #[test]
    fn other_comments_are_not_ids() {
        for line in
            [": ping", ": q-provenance {}", ": q 1 x", ": q 4294967296", ": q@ 1", "", ": quiet"]
        {
            assert_eq!(parse_ids(line), None, "{line}");
        }
    }
}
