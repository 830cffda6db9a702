//! The gateway's own member of a request, checked: an answer that another node began.

use crate::http::error::Error;
use openapi::resume::{Extension, Resume};

/// What cannot be known before the prompt is rendered is the engine's to check.
pub(super) fn resume(member: Option<Extension>, choices: u32) -> Result<Option<Resume>, Error> {
    let Some(resume) = member.and_then(|member| member.resume) else { return Ok(None) };
    if choices != 1 {
        return Err(Error::invalid("n", "an answer of several choices cannot be resumed"));
    }
    Ok(Some(resume))
}
