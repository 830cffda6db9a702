//! What became of the verification that a request asked for, as clients are told.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::receipt::{Class, Verified};

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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Party {
    pub provider: String,
    pub operator: String,
}
