//! How answers are checked: a gateway asks one node to score what another one wrote (teacher forcing:
//! one pass over prompt and answer, no decoding), and the writer to show what it committed itself to.
//! Wire types alone. Scorers never see what the writer claims.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::chat::FinishReason;
use crate::commit::{Claim, Commitment};
use crate::sign::Statement;

/// Tokens of an answer that are scored at most; of a longer one, sampled positions.
pub const TOKENS_MAX: usize = 2048;
/// Where `margin` is clipped.
pub const MARGIN_MAX: f64 = 20.0;
/// Code of the 409 with which a node says that it has other weights.
pub const WRONG_WEIGHTS: &str = "weights_mismatch";

/// `POST /v1/verify/score`. The prompt is rendered here, from the original request: ids of the prompt are
/// never taken from the node that is audited, else a dropped system prompt would pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScoreRequest {
    /// The weights the answer is said to come from. A node with others refuses.
    pub weights_id: String,
    /// Where the request was sent: `/v1/chat/completions` or `/v1/completions`.
    pub path: String,
    /// The request as the writer got it; `seed` in it is the one in force for choice 0.
    #[schema(value_type = Object)]
    pub request: Value,
    /// Which choice was written; its seed is the request's and so much more.
    #[serde(default)]
    pub choice: u32,
    pub completion_token_ids: Vec<u32>,
    /// Indices of the tokens to score, ascending. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positions: Option<Vec<u32>>,
    /// The likeliest tokens to tell of each position, 0 to 20.
    #[serde(default)]
    pub top_k: u8,
    /// Told back in the signed answer.
    pub nonce: String,
}

/// What a scorer says, under its signature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Scored {
    pub nonce: String,
    pub weights_id: String,
    pub quant: String,
    pub kv_dtype: String,
    pub engine: String,
    pub template_sha256: String,
    /// Of the prompt as rendered here, as in a provenance.
    pub prompt_ids_sha256: String,
    pub prompt_tokens: u64,
    /// SHA-256, hex, over the text these ids make here: see [`TextHash`].
    pub text_sha256: String,
    /// How an answer of these ids ends here. Absent: it is not at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<FinishReason>,
    /// Tokens an answer could have had here.
    pub max_tokens: u64,
    /// Whether a grammar held the answer.
    pub constrained: bool,
    /// How the answer was drawn if it was drawn as asked: `gumbel-v1`, or another's name. Margins are
    /// told for `gumbel-v1` alone.
    pub sampler: String,
    pub scores: Vec<Score>,
}

/// One token of the answer, as the scorer's model sees it. Logarithms are natural, of the raw logits at
/// T = 1, before bias, penalties and mask.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Score {
    /// Its index in the answer.
    pub i: u32,
    pub id: u32,
    pub lp: f64,
    /// 0: the likeliest. Tokens of a higher logit.
    pub rank: u32,
    /// How much the token the canonical sampler draws here lies above this one: 0 where this one is
    /// drawn, at most [`MARGIN_MAX`], also where it is no candidate. Absent: drawn by another sampler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// Of the likeliest token that ends an answer.
    pub eos_lp: f64,
    pub eos_rank: u32,
    /// Probability of all likelier tokens, and of this one, at the request's temperature and `top_p`: where
    /// it lies in them is uniform for whoever draws as asked.
    pub above: f64,
    pub own: f64,
    /// The likeliest tokens in order: id and log-probability.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<(u32, f64)>,
}

impl Statement for Scored {
    const DOMAIN: &'static str = "quorate/score/v1";
}

/// `GET /v1/verify/info`: what this node can score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Info {
    pub models: Vec<Scorable>,
    /// Share of its time that scoring may take.
    pub time_share: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Scorable {
    pub model: String,
    pub weights_id: String,
    pub quant: String,
    pub kv_dtype: String,
    pub engine: String,
    /// Tokens of an answer that are scored in one pass; beyond that, positions are forced one by one.
    pub tokens_max: u64,
    /// Whether margins are told.
    pub sampler: Option<String>,
}

/// `GET /v1/verify/evidence/{request_id}`: what the writer committed itself to. Kept for 10 minutes, as far
/// as room goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revealed {
    pub commitment: Commitment,
    /// Of each choice, of each of its tokens but those that were drawn elsewhere.
    pub choices: Vec<Vec<Claim>>,
}

/// SHA-256 over what a choice says, in the order in which it is sent: content, reasoning and refusals as
/// they are, of a call its name between two zero bytes and then its arguments. The pieces it is sent in
/// leave no trace.
#[derive(Debug, Clone, Default)]
pub struct TextHash(Sha256);

// === impl TextHash ===

impl TextHash {
    /// Content, reasoning, a refusal, or a part of a call's arguments.
    pub fn text(&mut self, text: &str) {
        self.0.update(text.as_bytes());
    }

    /// A call begins.
    pub fn call(&mut self, name: &str) {
        self.0.update([0]);
        self.0.update(name.as_bytes());
        self.0.update([0]);
    }

    /// In hex.
    pub fn finish(self) -> String {
        hex::encode(self.0.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_counts_and_not_its_pieces() {
        let of = |pieces: &[&str]| {
            let mut hash = TextHash::default();
            pieces.iter().for_each(|piece| hash.text(piece));
            hash.finish()
        };
        assert_eq!(of(&["7 plus", " 5"]), of(&["7 ", "plus 5"]));
        assert_ne!(of(&["7 plus 5"]), of(&["7 plus 6"]));
        let mut call = TextHash::default();
        call.call("get");
        call.text("{}");
        assert_ne!(call.finish(), of(&["get{}"]));
    }
}
