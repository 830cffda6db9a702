//! What became of the verification that a request asked for, as clients are told.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The member `quorate.verification` of answers to requests with `verification.mode` `quorum` or `verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verification {
    /// `quorum` or `verify`.
    pub mode: String,
    pub verified: Verified,
    /// Whether as many as had to agree with this very answer.
    pub reached: bool,
    /// In what they agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// How many had to agree in the end; for `verify` the generator and its scorers.
    pub k: u32,
    /// Generations that were asked for, failed ones not counted.
    pub n: u32,
    /// Who gave the answer that was agreed on; for `verify` its generator.
    pub agreed: Vec<Party>,
    /// Who gave another.
    pub dissent: Vec<Party>,
    /// Of them, whose answer is not the model's, as scorers say.
    pub at_fault: Vec<Party>,
    /// Who scored the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scorers: Vec<Party>,
    /// The same in a sentence.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verified {
    Pass,
    /// Others say otherwise.
    Fail,
    /// Nobody could say.
    None,
    /// In a header alone: it is said at the stream's end.
    Pending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// To the byte.
    Exact,
    /// In the canonical form: white space of a text, order and numbers of JSON.
    Canonical,
    /// They part at a token where the model itself hardly prefers one.
    Fork,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Party {
    pub provider: String,
    pub operator: String,
}

// === impl Verified ===

impl Verified {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::None => "none",
            Self::Pending => "pending",
        }
    }
}
