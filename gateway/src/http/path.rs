//! Paths served as they were meant: a base URL that already ends in `/v1`, or in a slash, doubles
//! them. Never a redirect: clients do not repeat a POST. Model ids are left alone.

use http::Uri;
use http::uri::PathAndQuery;

/// Rewrites the path in place; nearly always there is nothing to do.
pub(super) fn normalise(uri: &mut Uri) {
    let path = uri.path();
    if !needs_work(path) {
        return;
    }
    let mut meant = format!("/{}", path.trim_matches('/'));
    while let Some(rest) = meant.strip_prefix("/v1/").map(|rest| rest.trim_start_matches('/')) {
        if rest != "v1" && !rest.starts_with("v1/") {
            meant = format!("/v1/{rest}");
            break;
        }
        meant = format!("/{rest}");
    }
    if let Some(query) = uri.query() {
        meant.push('?');
        meant.push_str(query);
    }
    let mut parts = std::mem::take(uri).into_parts();
    if let Ok(rewritten) = PathAndQuery::try_from(meant) {
        parts.path_and_query = Some(rewritten);
    }
    *uri = Uri::from_parts(parts).unwrap_or_default();
}

fn needs_work(path: &str) -> bool {
    path.len() > 1
        && (path.ends_with('/')
            || path.starts_with("//")
            || path.starts_with("/v1//")
            || path.starts_with("/v1/v1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_served_as_meant() {
        for (sent, meant) in [
            ("/v1/models", "/v1/models"),
            ("/v1/models/", "/v1/models"),
            ("/v1/v1/models?a=b", "/v1/models?a=b"),
            ("/v1/v1/v1/models", "/v1/models"),
            ("//v1//chat/completions//", "/v1/chat/completions"),
            ("/v1//v1/models", "/v1/models"),
            ("/v1/v1x/models", "/v1/v1x/models"),
            ("/v1/v1", "/v1"),
            ("/v1/models/org%2Fname/", "/v1/models/org%2Fname"),
            ("/v1/models/org//name", "/v1/models/org//name"),
            ("/", "/"),
            ("//", "/"),
            ("http://h:1/v1/v1/models/", "http://h:1/v1/models"),
        ] {
            let mut uri: Uri = sent.parse().expect("a URI");
            normalise(&mut uri);
            assert_eq!(uri.to_string(), meant.parse::<Uri>().expect("a URI").to_string(), "{sent}");
        }
    }
}
