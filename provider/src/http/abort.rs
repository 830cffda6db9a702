//! How a script breaks a connection. A handler marks its response; the accept loop sees the mark and
//! resets the socket instead of writing anything.

use axum::response::{IntoResponse, Response};
use http::StatusCode;

/// Marks a response that is never written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reset;

/// A response that stands for no response.
pub(super) fn reset() -> Response {
    let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
    response.extensions_mut().insert(Reset);
    response
}

/// What a body yields to cut the connection in mid-answer.
pub(super) fn cut() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionAborted, "cut")
}
