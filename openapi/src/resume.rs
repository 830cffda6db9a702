//! How a gateway has an answer continued that another node began: the member `quorate` of a request's
//! body, sent by gateways alone, to nodes that declare [`Feature::Resume`](crate::node::Feature). The
//! request itself is sent again as it was, with the same seed and the same request id, so that the
//! node can draw the very next token as the first one would have drawn it.

use serde::{Deserialize, Serialize};

/// The member of a request that gateways and nodes keep between themselves.
pub const MEMBER: &str = "quorate";
/// Code of the 409 with which a node says that it would give another answer.
pub const MISMATCH: &str = "resume_mismatch";

/// The member's value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
}

/// What is there of the answer already; one choice only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The tokens drawn so far, from the first one on.
    pub ids: Vec<u32>,
    /// UTF-8 bytes of the answer that are not to be sent again: content, reasoning, refusal, and the
    /// arguments of tool calls. Less than what `ids` decode to where ids came before their text.
    pub text_bytes: u64,
    /// Of the prompt that the first node rendered, as in its provenance. If given, it must be the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_ids_sha256: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_member_is_read_as_it_is_written() {
        let resume = Resume { ids: vec![7, 0], text_bytes: 12, prompt_ids_sha256: None };
        let member = Extension { resume: Some(resume) };
        let text = serde_json::to_string(&member).unwrap();
        assert_eq!(text, r#"{"resume":{"ids":[7,0],"text_bytes":12}}"#);
        assert_eq!(serde_json::from_str::<Extension>(&text).unwrap(), member);
        assert_eq!(serde_json::from_str::<Extension>("{}").unwrap(), Extension::default());
    }
}
