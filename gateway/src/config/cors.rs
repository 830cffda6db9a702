//! `[server] cors_origins`: the sites whose pages may read answers.

use url::{Origin, Url};

use super::problem::Problems;

const ORIGINS_MAX: usize = 256;

/// The sites whose pages may read answers; none by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CorsOrigins {
    any: bool,
    listed: Vec<String>,
}

// === impl CorsOrigins ===

impl CorsOrigins {
    /// Every site.
    pub fn any(&self) -> bool {
        self.any
    }

    pub fn is_empty(&self) -> bool {
        !self.any && self.listed.is_empty()
    }

    /// Whether this origin, as a browser sends it, is in the list.
    pub fn contains(&self, origin: &[u8]) -> bool {
        self.listed.iter().any(|listed| listed.as_bytes() == origin)
    }

    pub(super) fn check(raw: Vec<String>, problems: &mut Problems) -> Self {
        let mut origins = Self::default();
        if raw.len() > ORIGINS_MAX {
            problems.add("server.cors_origins", format!("more than {ORIGINS_MAX} origins"));
        }
        for (index, text) in raw.into_iter().enumerate() {
            if text == "*" {
                origins.any = true;
            } else if is_origin(&text) {
                origins.listed.push(text);
            } else {
                let message =
                    format!("{text:?} is neither \"*\" nor an origin such as https://app.example");
                problems.add(format!("server.cors_origins[{index}]"), message);
            }
        }
        origins
    }
}

/// An origin exactly as browsers print it: lower case, no path, no default port. A star inside one
/// would look like a pattern and match nothing.
fn is_origin(text: &str) -> bool {
    !text.contains('*')
        && Url::parse(text).is_ok_and(|url| {
            matches!(url.origin(), Origin::Tuple(..)) && url.origin().ascii_serialization() == text
        })
}
