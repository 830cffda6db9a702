//! What is wrong with a request, for the client to read.

/// Always a 400 `invalid_request_error`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub message: String,
    /// The member at fault, as a path (`messages[0].role`); `None` where the body is not JSON.
    pub param: Option<String>,
}

// === impl Error ===

impl Error {
    /// The body as a whole is at fault.
    pub(crate) fn body(message: impl Into<String>) -> Self {
        Self { message: message.into(), param: None }
    }

    pub(crate) fn member(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { message: message.into(), param: Some(param.into()) }
    }
}
