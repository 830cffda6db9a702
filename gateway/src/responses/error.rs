//! What is wrong with a request, for the client to read.

use crate::request;

/// Always a 400 `invalid_request_error`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub message: String,
    /// The member at fault, as a path (`input[1].content[0].type`).
    pub param: Option<String>,
    pub code: Option<&'static str>,
}

// === impl Error ===

impl Error {
    pub(super) fn at(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { message: message.into(), param: Some(param.into()), code: None }
    }

    pub(super) fn missing(param: String) -> Self {
        let message = format!("Missing required parameter: '{param}'.");
        Self { message, param: Some(param), code: Some("missing_required_parameter") }
    }

    pub(super) fn wrong_type(param: &str, expected: &str, found: &str) -> Self {
        let message = format!("Invalid type for '{param}': expected {expected}, got {found}.");
        Self { message, param: Some(param.to_owned()), code: Some("invalid_type") }
    }

    pub(super) fn invalid(param: &str, expected: &str) -> Self {
        let message = format!("Invalid value for '{param}': expected {expected}.");
        Self { message, param: Some(param.to_owned()), code: Some("invalid_value") }
    }

    pub(super) fn too_many_items(param: &str, max: usize) -> Self {
        let message = format!("Invalid '{param}': array too long, at most {max} items.");
        let code = Some("array_above_max_length");
        Self { message, param: Some(param.to_owned()), code }
    }

    /// `param` is empty for the request itself.
    pub(super) fn too_many_members(param: &str, max: usize) -> Self {
        let what = if param.is_empty() { "request".to_owned() } else { format!("'{param}'") };
        let message = format!("Invalid {what}: too many members, at most {max}.");
        let param = (!param.is_empty()).then(|| param.to_owned());
        Self { message, param, code: Some("object_above_max_properties") }
    }

    /// Right by OpenAI's schema, and not to be had here.
    pub(super) fn unsupported(param: &str, why: &str) -> Self {
        let message = format!("Unsupported parameter: '{param}'. {why}");
        Self { message, param: Some(param.to_owned()), code: Some("unsupported_parameter") }
    }
}

impl From<request::Error> for Error {
    fn from(error: request::Error) -> Self {
        let request::Error { message, param } = error;
        Self { message, param, code: None }
    }
}
