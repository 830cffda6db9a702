//! The `verification` member: how sure of an answer the client wants to be.

use serde::{Deserialize, Serialize};

use super::{Error, header, object, wrong};

/// Generations of one request at most.
const N_MAX: u32 = 16;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Verification {
    pub mode: Mode,
    /// Answers that must agree, or for `verify` the generator and its scorers. Default 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k: Option<u32>,
    /// Generations of a quorum. Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
    pub stream: Delivery,
    /// No answer rather than one that was not agreed upon.
    pub strict: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    Off,
    #[default]
    Audit,
    Verify,
    Quorum,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// The leader's tokens as they come, the verdict after them.
    #[default]
    Optimistic,
    /// Nothing before the verdict.
    Buffered,
}

// === impl Mode ===

impl Mode {
    /// As clients write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Audit => "audit",
            Self::Verify => "verify",
            Self::Quorum => "quorum",
        }
    }
}

// === impl Verification ===

impl Verification {
    /// From the `verification` member of a body, as JSON.
    ///
    /// # Errors
    /// No object, an unknown or doubled member, a value of the wrong type or out of range.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        object::read::<Self>("verification", text)?.checked("verification")
    }

    /// From a header's value: JSON, or `quorum; k=2; n=3`. Errors name `name`.
    ///
    /// # Errors
    /// As [`Self::from_json`].
    pub fn from_header(name: &str, text: &str) -> Result<Self, Error> {
        // The mode may stand alone at the front.
        let (first, rest) = text.split_once(';').unwrap_or((text, ""));
        let bare = !first.contains(['=', '{']) && !first.trim().is_empty();
        let spelled;
        let text = if bare {
            spelled = format!("mode={};{rest}", first.trim());
            &spelled
        } else {
            text
        };
        header::read::<Self>(name, text)?.checked(name)
    }

    /// Answers that must agree, or the generator and its scorers.
    pub fn k(&self) -> u32 {
        self.k.unwrap_or(2)
    }

    /// Generations of a quorum.
    pub fn n(&self) -> u32 {
        self.n.unwrap_or(3)
    }

    /// Whether the client hears nothing before the verdict: what may be refused must not be sent first.
    pub fn is_buffered(&self) -> bool {
        self.strict || self.stream == Delivery::Buffered
    }

    /// Whether an answer waits for others.
    pub fn is_wanted(&self) -> bool {
        matches!(self.mode, Mode::Verify | Mode::Quorum)
    }

    /// As a header has it.
    pub fn to_text(&self) -> String {
        let mode = match self.mode {
            Mode::Off => "off",
            Mode::Audit => "audit",
            Mode::Verify => "verify",
            Mode::Quorum => "quorum",
        };
        let numbers = [("k", self.k), ("n", self.n)].into_iter();
        let mut text: Vec<String> = vec![mode.to_owned()];
        text.extend(numbers.filter_map(|(name, n)| n.map(|n| format!("{name}={n}"))));
        if self.stream == Delivery::Buffered {
            text.push("stream=buffered".to_owned());
        }
        if self.strict {
            text.push("strict=true".to_owned());
        }
        text.join("; ")
    }

    fn checked(self, root: &str) -> Result<Self, Error> {
        let n = self.n.unwrap_or(3);
        if !(1..=N_MAX).contains(&n) {
            return Err(wrong(root, "n", &format!("expected an integer from 1 to {N_MAX}")));
        }
        let k = self.k.unwrap_or(2);
        let k_max = if self.mode == Mode::Quorum { n } else { N_MAX };
        if !(1..=k_max).contains(&k) {
            return Err(wrong(root, "k", &format!("expected an integer from 1 to {k_max}")));
        }
        Ok(self)
    }
}
