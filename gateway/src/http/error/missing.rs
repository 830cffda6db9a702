//! What a receipt that is not there is answered with.

use http::StatusCode;

use super::{INVALID, Origin, Row, shown};
use crate::metrics::Outcome;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// Also where it is another key's.
    #[error("There is no receipt `{}`.", shown(.0))]
    Unknown(String),
    /// Its answer is not over, or it is not on disk.
    #[error("The receipt `{}` is not there yet; ask again.", shown(.0))]
    Pending(String),
    #[error("This gateway keeps no receipts.")]
    Off,
}

impl Missing {
    pub(super) fn row(&self) -> Row {
        let retry = matches!(self, Self::Pending(_));
        Row {
            status: StatusCode::NOT_FOUND,
            kind: INVALID,
            code: Some(if retry { "receipt_pending" } else { "receipt_not_found" }),
            retry,
            origin: Origin::Client,
            outcome: Outcome::NotFound,
        }
    }
}
