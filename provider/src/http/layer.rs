//! What happens around every request: its id, the count by route and status, one log line,
//! and the load at its beginning.

use super::Context;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderValue;
use openapi::node::LOAD_HEADER;
use std::sync::Arc;

pub(super) const REQUEST_ID: &str = "x-request-id";
/// Characters of a request id taken from a caller.
const REQUEST_ID_MAX: usize = 128;

/// The id of the request: the caller's where it is usable, ours otherwise.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) Arc<str>);

pub(super) async fn around(
    State(context): State<Arc<Context>>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = request_id(request.headers().get(REQUEST_ID));
    request.extensions_mut().insert(RequestId(Arc::clone(&id)));
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unknown", MatchedPath::as_str);
    let load = context.admission.load().to_header();
    let mut response = next.run(request).await;
    let status = response.status().as_u16();
    context.metrics.answered(route, status);
    tracing::debug!(request_id = &*id, route, status, "answered");
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    if let Ok(value) = HeaderValue::from_str(&load) {
        response.headers_mut().insert(LOAD_HEADER, value);
    }
    response
}

fn request_id(given: Option<&HeaderValue>) -> Arc<str> {
    let usable = given.and_then(|value| value.to_str().ok()).filter(|text| {
        (1..=REQUEST_ID_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
    });
    match usable {
        Some(text) => Arc::from(text),
        None => Arc::from(format!("req_{}", uuid::Uuid::now_v7().simple())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_visible_ascii_is_taken_over() {
        let given = |text: &'static str| request_id(Some(&HeaderValue::from_static(text)));
        assert_eq!(&*given("abc-1"), "abc-1");
        for bad in ["", "two words", "tab\there"] {
            assert!(given(bad).starts_with("req_"), "{bad:?}");
        }
        let long = HeaderValue::from_str(&"x".repeat(129)).unwrap();
        assert!(request_id(Some(&long)).starts_with("req_"));
        assert_ne!(request_id(None), request_id(None));
    }
}
