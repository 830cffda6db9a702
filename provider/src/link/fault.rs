//! Why a link is not up, and whether trying again soon can mend it.

use http::StatusCode;
use std::time::Duration;

/// A gateway's wish to be left alone is honoured up to this.
const AFTER_MAX: Duration = Duration::from_mins(5);

#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Fault {
    #[error("it can't be reached: {0}")]
    Unreachable(String),
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("it did not answer this node's heartbeats")]
    Silent,
    /// The other end is not who it should be.
    #[error("it is not the gateway it should be: {0}")]
    Impostor(String),
    #[error("{0}")]
    Protocol(String),
    #[error("it refuses this node ({code}, {}): {message}", status.as_u16())]
    Refused { status: StatusCode, code: String, message: String, after: Option<Duration> },
    /// Nothing was sent.
    #[error("{0}")]
    Own(String),
}

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    Soon,
    /// Somebody has to change something first.
    Late,
    After(Duration),
}

impl Fault {
    pub(super) fn again(&self) -> Again {
        match self {
            Self::Unreachable(_) | Self::Broken(_) | Self::Silent | Self::Own(_) => Again::Soon,
            Self::Impostor(_) | Self::Protocol(_) => Again::Late,
            Self::Refused { after: Some(after), .. } => Again::After((*after).min(AFTER_MAX)),
            Self::Refused { status, code, .. } => match code.as_str() {
                // A fresh connection has a fresh challenge and a fresh lease.
                "replayed" | "wrong_connection" | "lease_unknown" | "lease_not_yours" | "full" => {
                    Again::Soon
                }
                _ if status.is_server_error() => Again::Soon,
                _ => Again::Late,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeating_can_t_mend_is_tried_late() {
        let refused = |status: u16, code: &str, after| Fault::Refused {
            status: StatusCode::from_u16(status).unwrap(),
            code: code.to_owned(),
            message: "why".to_owned(),
            after,
        };
        for code in ["join_token_required", "weights_not_listed", "clock_skew", "name_taken", ""] {
            assert_eq!(refused(403, code, None).again(), Again::Late, "{code}");
        }
        assert_eq!(refused(403, "replayed", None).again(), Again::Soon);
        assert_eq!(refused(502, "", None).again(), Again::Soon);
        let after = Duration::from_secs(7);
        assert_eq!(refused(503, "full", Some(after)).again(), Again::After(after));
        let text = refused(401, "join_token_required", None).to_string();
        assert_eq!(text, "it refuses this node (join_token_required, 401): why");
    }
}
